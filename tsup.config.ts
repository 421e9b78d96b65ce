import { readFileSync } from 'node:fs'
import { dirname, relative, resolve } from 'node:path'
import type { Plugin } from 'esbuild'
import { defineConfig } from 'tsup'

/** Where the root's `Agent`, `secret`, `tool` and `ToolSet` come from, and what runs need beside it, loaded with the first. */
const agent = ['src/agent/agent.ts', 'src/secret.ts', 'src/tools/define.ts', 'src/tools/toolset.ts']
const engine = 'src/agent/engine.ts'

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
  esbuildPlugins: [fewChunks, ownHelpers],
  esbuildOptions: (options) => {
    // Not the CommonJS file that Node is given of it, for the reason below.
    options.alias = { eventemitter3: './node_modules/eventemitter3/dist/eventemitter3.esm.js' }
    // Of the imports that the plugin below adds.
    options.logOverride = { 'ignored-bare-import': 'silent' }
  },
  // A build without types leaves those of the last one.
  clean: dts !== false,
}))

/**
 * esbuild makes a chunk for each set of entries that have a module in common, where a module that is loaded later is an
 * entry, too. That would be dozens, of which the root would load nearly all, each at the cost of a file. So entries are made
 * to have more in common: what the root shares with the other entries becomes one chunk, the rest of the root another, and
 * what only runs need a third.
 *
 * What runs need and the root exports as well, but `Agent` does not load, is built a second time for them: a bundler that
 * splits code by files, as esbuild does, would otherwise load it with the agent. Twice is no harm: modules keep no state,
 * and what is asked for by its class, such as an error, is loaded with the agent.
 */
const fewChunks: Plugin = {
  name: 'few-chunks',
  setup({ initialOptions, esbuild, onStart, onResolve, onLoad }) {
    const entry = initialOptions.entryPoints as Readonly<Record<string, string>> // as above
    /** What a file is made to import beside its own imports. */
    const added = new Map<string, readonly string[]>()
    const copied = new Set<string>()
    /** What is loaded only later than the root, and by nothing else: its imports lead to copies. */
    const onlyLater = new Set<string>()

    onStart(async () => {
      for (const each of [added, copied, onlyLater]) each.clear()
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
      const loadedWith = (...start: readonly string[]): ReadonlySet<string> => {
        const loaded = new Set(start)
        for (const path of loaded)
          for (const next of importsOf(path, 'import-statement')) loaded.add(next.path)
        return loaded
      }
      const lateIn = (paths: ReadonlySet<string>) =>
        [...paths].flatMap((path) => importsOf(path, 'dynamic-import').map((each) => each.path))

      const { index: root = '', testing = '', ...others } = entry
      const byRoot = loadedWith(root)
      const byAgent = loadedWith(...agent)
      const byEngine = loadedWith(engine).difference(byAgent)
      const byOthers = loadedWith(...Object.values(others))
      for (const path of byRoot.difference(byAgent)) copied.add(path)
      const shared = [...byRoot.intersection(byOthers)]
      for (const path of [...Object.values(others), ...lateIn(byOthers)]) added.set(path, shared)
      added.set(testing, [root, engine])
      const laterThanRoot = new Set(lateIn(byRoot))
      for (const path of laterThanRoot) {
        const loaded = loadedWith(path)
        for (const each of lateIn(loaded)) laterThanRoot.add(each)
        for (const each of loaded.difference(byRoot).difference(byOthers)) onlyLater.add(each)
        // Modules in common with the engine, and so its chunk.
        const hasShared = path !== engine && !loaded.isDisjointFrom(byEngine)
        added.set(path, hasShared ? [root, engine] : [root])
      }
    })

    const sourceOf = (path: string) => {
      const lines = (added.get(path) ?? []).map((each) => `import ${JSON.stringify(resolve(each))}`)
      return { contents: [readFileSync(path, 'utf8'), ...lines].join('\n'), loader: 'ts' as const }
    }
    const copies = { filter: /\.ts$/, namespace: 'copy' }

    onLoad({ filter: /\.ts$/, namespace: 'file' }, ({ path: full }) => {
      const path = relative('', full)
      return added.has(path) && !copied.has(path) ? sourceOf(path) : undefined
    })
    onResolve({ filter: /^\..*\.ts$/ }, ({ path: specifier, resolveDir, importer, kind, namespace }) => {
      const isLate = namespace === copies.namespace || onlyLater.has(relative('', importer))
      if (kind !== 'dynamic-import' && !isLate) return undefined
      const path = relative('', resolve(resolveDir, specifier))
      return copied.has(path) ? { path, namespace: copies.namespace } : { path: resolve(path) }
    })
    onLoad(copies, ({ path }) => ({ ...sourceOf(path), resolveDir: dirname(resolve(path)) }))
  },
}

/** What CommonJS files are wrapped in would be loaded with every agent: one that is loaded late brings its own. */
const ownHelpers: Plugin = {
  name: 'own-helpers',
  setup({ esbuild, onLoad }) {
    onLoad({ filter: /partial-json[\\/]dist[\\/]index\.js$/ }, async ({ path }) => {
      const { outputFiles } = await esbuild.build({
        stdin: { contents: `export { Allow, parse } from ${JSON.stringify(path)}`, resolveDir: '.' },
        bundle: true,
        format: 'esm',
        write: false,
      })
      return { contents: outputFiles.map(({ text }) => text).join('') }
    })
  },
}
