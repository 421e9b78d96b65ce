import { defineConfig } from 'tsup'

export default defineConfig(({ dts }) => ({
  entry: {
    index: 'src/index.ts',
    openai: 'src/providers/openai.ts',
    anthropic: 'src/providers/anthropic.ts',
    groq: 'src/providers/groq.ts',
    openrouter: 'src/providers/openrouter.ts',
    providers: 'src/providers/providers.ts',
    sqlite: 'src/stores/sqlite.ts',
    postgres: 'src/stores/postgres.ts',
    testing: 'src/testing/index.ts',
  },
  format: ['esm'],
  target: 'node22',
  platform: 'neutral',
  external: [/^node:/],
  // `node:http`, not `http`: bundlers and other runtimes know builtins by the prefix.
  removeNodeProtocol: false,
  dts: true,
  splitting: true,
  sourcemap: true,
  // A build without types leaves those of the last one.
  clean: dts !== false,
}))
