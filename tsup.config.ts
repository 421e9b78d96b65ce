import { readFileSync } from 'node:fs'
import { relative, resolve } from 'node:path'
import type { Plugin } from 'esbuild'
import { defineConfig } from 'tsup'

const root = 'src/index.ts'

const entry = {
  index: root,
  openai: 'src/providers/openai.ts',
  anthropic: 'src/providers/anthropic.ts',
  groq: 'src/providers/groq.ts',
  openrouter: 'src/providers/openrouter.ts',
  providers: 'src/providers/providers.ts',
  sqlite: 'src/stores/sqlite.ts',
  postgres: 'src/stores/postgres.ts',
  testing: 'src/testing/index.ts',
}

export default defineConfig(({ dts }) => ({
  entry,
  format: ['esm'],
  target: 'node22',
  platform: 'neutral',
  external: [/^node:/],
  // `node:http`, not `http`: bundlers and other runtimes know builtins by the prefix.
  removeNodeProtocol: false,
  dts: true,
  splitting: true,
  sourcemap: true,
  esbuildPlugins: [fewChunks],
  // Of the imports that the plugin below adds.
  esbuildOptions: (options) => {
    options.logOverride = { 'ignored-bare-import': 'silent' }
  },
  // A build without types leaves those of the last one.
  clean: dts !== false,
}))

/**
 * esbuild makes a chunk for each set of entries that have a module in common, where a module that is loaded later is an
 * entry, too. That would be dozens, of which the root would load nearly all, each at the cost of a file. So entries are made
 * to have more in common: what the root shares with the other entries becomes one chunk, and the rest of the root another.
 */
const fewChunks: Plugin = {
  name: 'few-chunks',
  setup({ esbuild, onStart, onLoad }) {
    const added = new Map<string, readonly string[]>()

    onStart(async () => {
      const { metafile } = await esbuild.build({
        entryPoints: entry,
        bundle: true,
        splitting: true,
        format: 'esm',
        packages: 'external',
        outdir: 'dist',
        write: false,
        metafile: true,
      })
      const importsOf = (path: string, kind: string) =>
        (metafile.inputs[path]?.imports ?? []).filter((each) => !each.external && each.kind === kind)
      const loadedWith = (start: string): ReadonlySet<string> => {
        const loaded = new Set([start])
        for (const path of loaded)
          for (const next of importsOf(path, 'import-statement')) loaded.add(next.path)
        return loaded
      }
      const lateIn = (paths: Iterable<string>) =>
        [...paths].flatMap((path) => importsOf(path, 'dynamic-import').map((each) => each.path))
      const { index: _, testing, ...others } = entry
      const loadedByRoot = loadedWith(root)
      const loadedByOthers = new Set(Object.values(others).flatMap((path) => [...loadedWith(path)]))
      const shared = [...loadedByRoot].filter((path) => loadedByOthers.has(path))
      for (const path of [...Object.values(others), ...lateIn(loadedByOthers)]) added.set(path, shared)
      for (const path of [testing, ...lateIn(loadedByRoot)]) added.set(path, [root])
    })

    onLoad({ filter: /\.ts$/ }, ({ path }) => {
      const imports = added.get(relative(process.cwd(), path))
      if (!imports) return undefined
      const lines = imports.map((each) => `import ${JSON.stringify(resolve(each))}`)
      return { contents: `${readFileSync(path, 'utf8')}\n${lines.join('\n')}`, loader: 'ts' }
    })
  },
}
