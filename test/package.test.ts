import { readdirSync, readFileSync } from 'node:fs'
import { basename, join } from 'node:path'
import { gzipSync } from 'node:zlib'
import { type BuildResult, build, type Metafile } from 'esbuild'
import ts from 'typescript'
import { afterAll, beforeAll, describe, expect, test } from 'vitest'
import { type Consumer, dependencyClosure, installPacked, lockFile } from './support/consumer.ts'
import { distProblem } from './support/dist.ts'
import { packageJson, root } from './support/repository.ts'
import { importsOf, type Sources } from './support/source-imports.ts'

const manifest = packageJson()
const entries = Object.keys(manifest.exports)
  .filter((entry) => entry !== './package.json')
  .map((entry) => entry.replace('.', manifest.name))

describe('the packed package, installed in an empty project', { timeout: 60_000 }, () => {
  let consumer: Consumer
  beforeAll(async () => {
    expect(distProblem()).toBeUndefined()
    consumer = await installPacked()
  }, 60_000)
  afterAll(() => consumer?.[Symbol.dispose]())

  test('holds what `files` names and nothing else', () => {
    const named = [...manifest.files, 'package.json']
    const other = consumer.packed.filter(
      (path) => !named.some((name) => path === name || path.startsWith(`${name}/`)),
    )
    expect(other).toEqual([])
    expect(
      named.filter((name) => !consumer.packed.some((path) => path === name || path.startsWith(`${name}/`))),
    ).toEqual([])
  })

  test('holds the code and the types of every entry', () => {
    const wanted = Object.values(manifest.exports).flatMap((entry) =>
      typeof entry === 'string' ? [entry] : [entry.types, entry.default],
    )
    expect(wanted.filter((path) => !consumer.packed.includes(path.replace('./', '')))).toEqual([])
  })

  test.each(entries)('%s can be imported, and required from CommonJS with the same names', async (entry) => {
    const imported = await consumer.run(
      'import.mjs',
      `console.log(Object.keys(await import('${entry}')).sort().join())`,
    )
    expect(imported).toEqual({ code: 0, stdout: expect.stringMatching(/^\w+(,\w+)*\n$/), stderr: '' })
    const required = await consumer.run(
      'require.cjs',
      `console.log(Object.keys(require('${entry}')).filter((name) => name !== '__esModule').sort().join())`,
    )
    expect(required).toEqual(imported)
  })

  test.each(['tercet', 'tercet/openai', 'tercet/sqlite', 'tercet/postgres'])(
    'importing %s does nothing that could be noticed',
    async (entry) => {
      const { probe, printed } = await probeImport(consumer, entry)
      expect(printed).toBe('')
      expect(probe).toEqual({ variables: [], resources: [], globals: [], packages: expect.any(Array) })
    },
  )

  test('importing tercet or tercet/openai loads no provider SDK, no schema package and no Node builtin', async () => {
    for (const entry of ['tercet', 'tercet/openai']) {
      const { probe } = await probeImport(consumer, entry)
      expect(probe.packages.filter((name) => ![entry, ...dependencyClosure()].includes(name))).toEqual([])
    }
  })

  test('importing a store loads no database', async () => {
    for (const entry of ['tercet/sqlite', 'tercet/postgres']) {
      const { probe } = await probeImport(consumer, entry)
      expect(probe.packages).toContain(entry)
      expect(probe.packages.filter((name) => name === 'pg' || name === 'node:sqlite')).toEqual([])
    }
  })

  test('the probe sees what an import does', async () => {
    const noisy = `import 'node:querystring'
      setInterval(() => {}, 1000)
      globalThis.left = process.env.SOME_KEY
      import('openai').catch(() => {})
      console.log('hello')`
    const url = `data:text/javascript,${encodeURIComponent(noisy)}`
    const { probe, printed } = await probeImport(consumer, url)
    expect(printed).toBe('hello\n')
    expect(probe).toEqual({
      variables: ['SOME_KEY'],
      resources: ['PipeWrap', 'Timeout'],
      globals: ['left'],
      packages: [url, 'node:querystring', 'openai'],
    })
  })

  test('the root entry bundles for the browser without Node builtins', async () => {
    const { metafile, warnings } = await bundle(`export * from 'tercet'`, consumer.folder)
    expect(warnings).toEqual([])
    const outside = Object.values(metafile.outputs).flatMap((output) =>
      output.imports.filter(({ external }) => external),
    )
    const optional = Object.keys(manifest.peerDependencies)
    expect(outside.filter(({ path, kind }) => kind !== 'dynamic-import' || !optional.includes(path))).toEqual(
      [],
    )
  })

  test('an agent with tools and secrets loads at most 25 kB gzipped', async () => {
    const core = `export { Agent, secret, tool, ToolSet } from 'tercet'`
    expect(await loadedBytes(core, consumer.folder)).toBeLessThanOrEqual(25_000)
  })

  // What a run loads has copies of some modules of the root.
  test('an agent and a memory made by the application count each message once together', async () => {
    const program = `
      import { Agent, SimpleAgentMemory, textClient } from 'tercet'
      const times = new Map()
      const countTokens = (text) => times.set(text, (times.get(text) ?? 0) + 1) && text.length
      const memory = new SimpleAgentMemory({ maxHistoryTokens: 1000 })
      const agent = new Agent({ client: textClient(async () => 'Hello.'), memory, countTokens })
      await agent.run('one')
      await agent.run('two')
      console.log(times.get('one'), times.get('two'))`
    expect(await consumer.run('counts.mjs', program)).toEqual({ code: 0, stdout: '1 1\n', stderr: '' })
  })

  // In a file with one character beyond Latin-1, V8 keeps two bytes for each.
  test('its files are ASCII', () => {
    const wide = [...built(consumer, '.js')].filter(([, text]) => /[^\p{ASCII}]/u.test(text))
    expect(wide.map(([path]) => path)).toEqual([])
  })

  test('the root loads three files of its own', () => {
    const imports = importsOf(built(consumer, '.js')).filter(({ lazy }) => !lazy)
    const loaded = new Set(['dist/index.js'])
    for (const file of loaded)
      for (const { from, target } of imports) if (from === file && target !== undefined) loaded.add(target)
    expect(loaded.size).toBe(3)
  })

  test.each([
    ['OpenAIClient', 'tercet/openai', 21_000],
    ['AnthropicClient', 'tercet/anthropic', 23_500],
  ])(
    '%s loads at most so much gzipped, and nothing of batches before the first one',
    async (name, entry, most) => {
      const code = `export { ${name} } from '${entry}'`
      expect(await loadedBytes(code, consumer.folder)).toBeLessThanOrEqual(most)
      const { metafile } = await bundle(code, consumer.folder)
      const later = Object.values(metafile.outputs).flatMap((output) =>
        output.imports.filter(({ kind, external }) => kind === 'dynamic-import' && !external),
      )
      expect(later.map(({ path }) => basename(path))).toEqual([expect.stringMatching(/-batches-/)])
    },
  )

  test('no built file awaits at its top level, which would end require()', () => {
    expect([...built(consumer, '.js')].flatMap(([path, text]) => topLevelAwaits(path, text))).toEqual([])
    const text = `await 1
      for await (const a of b) {}
      if (x) { await using c = d }
      const e = async () => { await 1; for await (const a of b) {} }
      class F { async g() { await 1 } }`
    expect(topLevelAwaits('a.js', text)).toEqual(['a.js:1', 'a.js:2', 'a.js:3'])
  })

  test('built code and types import only what an install brings, or an optional peer', () => {
    const optional = Object.keys(manifest.peerDependencies)
    const known = [...Object.keys(manifest.dependencies), ...optional]
    const sources = new Map([...built(consumer, '.js'), ...built(consumer, '.d.ts')])
    const strange = importsOf(sources)
      .filter(({ target, specifier }) => target === undefined && !known.includes(packageOf(specifier)))
      .filter(({ specifier }) => !specifier.startsWith('node:'))
      .map(({ from, specifier }) => `${from} imports ${specifier}`)
    expect(strange).toEqual([])
    const rootTypes = reached('dist/index.d.ts', sources)
      .filter(({ target, specifier }) => target === undefined && !(specifier in manifest.dependencies))
      .map(({ from, specifier }) => `${from} imports ${specifier}`)
    expect(rootTypes, 'the types of the root entry need nothing that may be missing').toEqual([])
  })
})

describe('the manifest', () => {
  test('supports every Node that can require() this package without a warning', () => {
    expect(manifest.engines).toEqual({ node: '>=22.13' })
  })

  test('installs five packages: ours and four more', () => {
    expect(dependencyClosure()).toEqual(['is-network-error', 'p-limit', 'p-retry', 'yocto-queue'])
  })

  test('names exact versions of what it installs and is built with', () => {
    const loose = Object.entries({ ...manifest.dependencies, ...manifest.devDependencies }).filter(
      ([, version]) => !/^(npm:[a-z-]+@)?\d+\.\d+\.\d+(-beta\.\d+)?$/.test(version),
    )
    expect(loose).toEqual([])
  })

  test('has a lock file without download addresses', () => {
    const addressed = Object.entries(lockFile().packages).filter(([, { resolved }]) => resolved !== undefined)
    expect(addressed).toEqual([])
  })
})

interface Probe {
  variables: string[]
  resources: string[]
  globals: string[]
  packages: string[]
}

/** Imports a module in a process of its own; what that read, opened, left behind and asked for. */
async function probeImport(consumer: Consumer, entry: string): Promise<{ probe: Probe; printed: string }> {
  const preload = join(root, 'test/support/watch-import.preload.ts')
  const probe = `
    import { writeSync } from 'node:fs'
    const before = () => ({ resources: process.getActiveResourcesInfo(), globals: Reflect.ownKeys(globalThis).map(String) })
    const extra = (after, start) => {
      const rest = [...after]
      for (const name of start) if (rest.includes(name)) rest.splice(rest.indexOf(name), 1)
      return rest
    }
    // The first import makes Node load what it needs for any import.
    await import('data:text/javascript,')
    const start = before()
    const { variables, specifiers } = globalThis.watched
    variables.length = specifiers.length = 0
    await import(${JSON.stringify(entry)})
    const seen = { variables: [...variables], specifiers: [...specifiers] }
    const end = before()
    writeSync(1, '\\0' + JSON.stringify({
      variables: seen.variables,
      resources: extra(end.resources, start.resources),
      globals: extra(end.globals, start.globals),
      packages: seen.specifiers.filter((name) => !name.startsWith('.')),
    }))
    process.exit(0)`
  const { stdout, stderr, code } = await consumer.run('probe.mjs', probe, ['--import', preload])
  if (code !== 0) throw new Error(`importing ${entry} failed: ${stderr}`)
  const [printed = '', found = ''] = stdout.split('\0')
  return { probe: JSON.parse(found) as Probe, printed: printed + stderr } // written by the program above
}

function bundle(contents: string, folder: string): Promise<BuildResult<{ write: false; metafile: true }>> {
  return build({
    stdin: { contents, resolveDir: folder },
    bundle: true,
    minify: true,
    platform: 'browser',
    format: 'esm',
    splitting: true,
    write: false,
    metafile: true,
    outdir: folder,
    external: Object.keys(manifest.peerDependencies),
  })
}

/** Gzipped bytes of what is loaded with a bundle of `code`, but not of what is imported later. */
async function loadedBytes(code: string, folder: string): Promise<number> {
  const { outputFiles, metafile } = await bundle(code, folder)
  const [entry = ''] = Object.keys(metafile.outputs).filter(
    (path) => metafile.outputs[path]?.entryPoint === '<stdin>',
  )
  const size = (path: string): number =>
    outputFiles
      .filter((file) => file.path.endsWith(basename(path)))
      .reduce((sum, file) => sum + gzipSync(file.contents, { level: 9 }).length, 0)
  return loadedWith(entry, metafile)
    .map(size)
    .reduce((a, b) => a + b, 0)
}

/** The files that are loaded with `entry`: it and what it imports, but not what is imported later. */
function loadedWith(entry: string, { outputs }: Metafile): string[] {
  const loaded = new Set([entry])
  for (const path of loaded) {
    for (const { kind, external, path: next } of outputs[path]?.imports ?? []) {
      if (kind === 'import-statement' && !external) loaded.add(next)
    }
  }
  return [...loaded]
}

/** The built files of an ending, by path in the package. */
function built(consumer: Consumer, ending: string): Sources {
  const names = readdirSync(join(consumer.installed, 'dist')).filter((name) => name.endsWith(ending))
  return new Map(
    names.map((name) => [`dist/${name}`, readFileSync(join(consumer.installed, 'dist', name), 'utf8')]),
  )
}

function topLevelAwaits(path: string, text: string): string[] {
  const file = ts.createSourceFile(path, text, ts.ScriptTarget.Latest, true)
  const found: string[] = []
  const visit = (node: ts.Node): void => {
    if (ts.isFunctionLike(node)) return
    const awaits =
      ts.isAwaitExpression(node) ||
      (ts.isForOfStatement(node) && node.awaitModifier !== undefined) ||
      (ts.isVariableDeclarationList(node) &&
        (node.flags & ts.NodeFlags.AwaitUsing) === ts.NodeFlags.AwaitUsing)
    if (awaits) found.push(`${path}:${file.getLineAndCharacterOfPosition(node.getStart(file)).line + 1}`)
    ts.forEachChild(node, visit)
  }
  visit(file)
  return found
}

/** Every import of a built file and of the built files it reaches. Declarations name each other as `.js`. */
function reached(start: string, sources: Sources): ReturnType<typeof importsOf> {
  const imports = importsOf(sources)
  const files = new Set([start])
  for (const file of files) {
    for (const { from, target } of imports) {
      if (from === file && target !== undefined) files.add(target.replace(/\.js$/, '.d.ts'))
    }
  }
  return imports.filter(({ from }) => files.has(from))
}

function packageOf(specifier: string): string {
  return specifier
    .split('/')
    .slice(0, specifier.startsWith('@') ? 2 : 1)
    .join('/')
}
