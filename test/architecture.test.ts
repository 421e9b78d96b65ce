import ts from 'typescript'
import { describe, expect, test } from 'vitest'
import { type Floor, floorOf, floorsOf, floorViolations } from './support/floors.ts'
import { codeSpansOf, tableOf } from './support/markdown.ts'
import { filesUnder, packageJson, read } from './support/repository.ts'
import { importsOf, type Sources } from './support/source-imports.ts'
import { worldUses } from './support/world.ts'

const page = read('docs/architecture.md')
const floors = floorsOf(page)
const sources: Sources = new Map(
  filesUnder('src')
    .filter((path) => path.endsWith('.ts'))
    .map((path) => [path, read(path)]),
)
const rootEntry = 'src/index.ts'
// The same table that lets examples and snippets import the package by its name.
const entries = new Set(
  Object.values(
    (JSON.parse(read('tsconfig.json')) as { compilerOptions: { paths: Record<string, string[]> } }) // ours
      .compilerOptions.paths,
  )
    .flat()
    .map((path) => path.replace('./', '')),
)

/** Who may touch which part of the world, and why. `path` is a file or, with a slash at its end, a folder. */
const worldAllowed: readonly { path: string; names: readonly string[]; reason: string }[] = [
  {
    path: 'src/runtime.ts',
    names: ['Date.now', 'Math.random', 'setTimeout', 'crypto', 'fetch'],
    reason: 'the one door to the world: what everything else is given',
  },
  {
    path: 'src/testing/',
    names: ['Buffer'],
    reason: 'an HTTP server is a Node program, and Node hands it buffers',
  },
  {
    path: 'src/providers/connection.ts',
    names: ['process'],
    reason: 'reads the key and the address from the environment when a client is made',
  },
  {
    path: 'src/agent/logger.ts',
    names: ['console'],
    reason: 'consoleLogger is the console, asked for by name',
  },
]

/** Folders whose files may import Node builtins. */
const nodeAllowed = ['src/testing/', 'src/stores/', 'src/providers/']

/** Optional packages that what the root reaches may load, on first use only. */
const lazyInRoot = ['zod', 'zod-to-json-schema', '@pydantic/genai-prices']

describe('the source', () => {
  test('imports lower floors and its own folder only, without circles', () => {
    expect(floorViolations(sources, floors)).toEqual([])
  })

  test('is on the map in docs/architecture.md, file by file, and the map names nothing else', () => {
    const mapped = tableOf(page, 'file').flatMap(([file = '']) => codeSpansOf(file))
    expect(mapped.map((path) => `src/${path}`).sort()).toEqual([...sources.keys()].sort())
  })

  test('has no file whose name says nothing', () => {
    expect(namelessFiles(sources)).toEqual([])
  })

  test('touches clock, randomness, timers, network, console and process in runtime.ts only', () => {
    expect(worldViolations(sources)).toEqual([])
  })

  test('uses every allowance it was given', () => {
    const uses = worldUses(sources)
    const unused = worldAllowed.flatMap(({ path, names }) =>
      names
        .filter((name) => !uses.some((use) => covers(path, use.path) && use.name === name))
        .map((name) => [path, name]),
    )
    expect(unused).toEqual([])
  })

  test('imports Node builtins nowhere but where a machine is assumed', () => {
    expect(nodeViolations(sources)).toEqual([])
  })

  test('reaches from the root entry no Node builtin, no provider SDK and no package that may be missing', () => {
    expect(rootViolations(sources)).toEqual([])
  })

  test('has under a virtual clock loaded whatever a run may load', () => {
    const lateIn = (path: string) =>
      importsOf(new Map([[path, sources.get(path) ?? '']]))
        .filter(({ lazy }) => lazy)
        .map(({ specifier, target }) => target ?? specifier)
    const late = [...sources.keys()]
      .filter(
        (path) => !['providers', 'stores', 'testing'].some((folder) => path.startsWith(`src/${folder}/`)),
      )
      .flatMap(lateIn)
      .filter((name) => !lazyInRoot.includes(name))
    expect(lateIn('src/testing/late-modules.ts').sort()).toEqual([...new Set(late)].sort())
  })

  test('re-exports in the package entries only, and the two that are barrels do nothing else', () => {
    expect(barrelViolations(sources)).toEqual([])
  })

  test('keeps the loop within 200 lines', () => {
    expect((sources.get('src/agent/loop.ts') ?? '').trimEnd().split('\n').length).toBeLessThanOrEqual(200)
  })
})

describe('the floors table', () => {
  test('has every floor from 6 down to 0, and no path twice', () => {
    expect(floors.map(({ floor }) => floor)).toEqual([6, 5, 4, 3, 2, 1, 0])
    const places = floors.flatMap(({ places }) => places)
    expect(places).toEqual([...new Set(places)])
  })

  test('puts a file that is named above the folder it is in', () => {
    expect(floorOf('src/tools/tool.ts', floors)?.floor).toBe(2)
    expect(floorOf('src/tools/schema.ts', floors)?.floor).toBe(3)
    expect(floorOf('src/transcript/next.ts', floors)?.floor).toBe(2)
    expect(floorOf('src/providers/chat-completions/request.ts', floors)?.floor).toBe(3)
    expect(floorOf('src/elsewhere.ts', floors)).toBeUndefined()
  })
})

describe('the checks themselves', () => {
  const small: Floor[] = [
    { floor: 2, sideways: 'own folder', places: ['agent/'] },
    { floor: 1, sideways: 'own folder', places: ['left/', 'right/'] },
    { floor: 0, sideways: 'own folder', places: ['errors', 'json'] },
  ]

  test('report an import that climbs, however it is written', () => {
    const sources = new Map([
      ['src/agent/loop.ts', 'export const a = 1'],
      ['src/errors.ts', "import type { A } from './agent/loop.ts'"],
      ['src/json.ts', "// import './agent/loop.ts'\nexport * from './agent/loop.ts'"],
      ['src/left/a.ts', "export const load = () => import('../agent/loop.ts')"],
      ['src/right/a.ts', "export type A = import('../agent/loop.ts').A"],
    ])
    expect(floorViolations(sources, small)).toEqual([
      'src/errors.ts:1 (floor 0) climbs to src/agent/loop.ts (floor 2)',
      'src/json.ts:2 (floor 0) climbs to src/agent/loop.ts (floor 2)',
      'src/left/a.ts:1 (floor 1) climbs to src/agent/loop.ts (floor 2)',
      'src/right/a.ts:1 (floor 1) climbs to src/agent/loop.ts (floor 2)',
    ])
  })

  test('report an import across a floor, and allow one within a folder and one down', () => {
    const sources = new Map([
      ['src/left/a.ts', "import '../right/a.ts'\nimport './b.ts'\nimport '../json.ts'"],
      ['src/left/b.ts', ''],
      ['src/right/a.ts', ''],
      ['src/json.ts', "import './errors.ts'"],
      ['src/errors.ts', ''],
    ])
    expect(floorViolations(sources, small)).toEqual([
      'src/left/a.ts:1 crosses floor 1 to src/right/a.ts: here a file imports lower floors and its own folder only',
    ])
    const loose = small.map((each) => ({ ...each, sideways: 'any' as const }))
    expect(floorViolations(sources, loose)).toEqual([])
  })

  test('report a circle of types, a file on no floor and an import of nothing', () => {
    const sources = new Map([
      ['src/left/a.ts', "import type { B } from './b.ts'"],
      ['src/left/b.ts', "import type { C } from './c.ts'"],
      ['src/left/c.ts', "import type { A } from './a.ts'\nimport './gone.ts'"],
      ['src/middle/a.ts', ''],
    ])
    expect(floorViolations(sources, small)).toEqual([
      'src/middle/a.ts fits no floor: give it a row in the floors table of docs/architecture.md',
      'src/left/c.ts:2 imports src/left/gone.ts, which is no file of src',
      'circle: src/left/a.ts → src/left/b.ts → src/left/c.ts → src/left/a.ts',
    ])
  })

  test('see the world through globals, global objects and destructuring, and not through words', () => {
    const text = `// console.log, Date.now()
      import type { Runtime } from './runtime.ts'
      const text = 'setTimeout' + \`\${Date.now()} process.env\`
      const a = globalThis.process?.env
      const b = (globalThis as { crypto?: unknown }).crypto
      const { fetch: get } = globalThis
      export const c = { performance, now: new Date(), then: new Date(0), stop: AbortSignal.timeout(1) }
      setTimeout(() => console.log(Math.random()), 1)
      globalThis['setInterval'](() => {}, 1)
      export function inner(fetch: typeof globalThis.fetch, options: { process: typeof process; crypto: number }) {
        const { process, crypto } = options
        return [fetch, process.env, crypto, { process }, options.process]
      }
      export type T = typeof setTimeout
      class Console { console() { return this.console() } }`
    expect(worldUses(new Map([['src/a.ts', text]])).map(({ line, name }) => `${line} ${name}`)).toEqual([
      '3 Date.now',
      '4 process',
      '5 crypto',
      '6 fetch',
      '7 performance',
      '7 new Date()',
      '7 AbortSignal.timeout',
      '8 setTimeout',
      '8 console',
      '8 Math.random',
      '9 setInterval',
    ])
  })

  test('report what a file touches without an allowance', () => {
    const sources = new Map([
      ['src/runtime.ts', 'export const now = () => Date.now()\nconsole.log(1)'],
      ['src/agent/loop.ts', 'export const now = Date.now'],
    ])
    expect(worldViolations(sources)).toEqual([
      'src/runtime.ts:2 touches console: take it from the runtime, or allow it here with a reason',
      'src/agent/loop.ts:1 touches Date.now: take it from the runtime, or allow it here with a reason',
    ])
  })

  test('report builtins and packages that the root reaches, also through another file', () => {
    const sources = new Map([
      ['src/index.ts', "export { a } from './agent/a.ts'"],
      [
        'src/agent/a.ts',
        "import './b.ts'\nimport limit from 'p-limit'\nexport const z = () => import('zod')",
      ],
      [
        'src/agent/b.ts',
        "import 'node:fs'\nimport type { z } from 'zod'\nexport const o = () => import('openai')",
      ],
      ['src/testing/index.ts', "import 'node:http'\nimport 'openai'"],
    ])
    expect(rootViolations(sources)).toEqual([
      'src/agent/b.ts:1 imports node:fs, and the root entry reaches it',
      'src/agent/b.ts:2 imports zod, and the root entry reaches it',
      'src/agent/b.ts:3 imports openai, and the root entry reaches it',
    ])
    expect(nodeViolations(sources)).toEqual(['src/agent/b.ts:1 imports node:fs'])
  })

  test('report names that say nothing, and barrels', () => {
    const sources = new Map([
      ['src/tools/utils.ts', "export * from './tool.ts'"],
      ['src/common/json.ts', ''],
      ['src/types.ts', ''],
      ['src/index.ts', "export * from './types.ts'\nexport const a = 1"],
    ])
    expect(namelessFiles(sources)).toEqual(['src/tools/utils.ts', 'src/common/json.ts', 'src/types.ts'])
    expect(barrelViolations(sources)).toEqual([
      'src/tools/utils.ts:1 re-exports: only package entries do',
      'src/index.ts does more than export from other files',
    ])
  })
})

function namelessFiles(sources: Sources): string[] {
  return [...sources.keys()].filter((path) => /(^|\/)(utils?|helpers?|common|types?)(\.ts$|\/)/.test(path))
}

function worldViolations(sources: Sources): string[] {
  return worldUses(sources)
    .filter(
      ({ path, name }) => !worldAllowed.some((each) => covers(each.path, path) && each.names.includes(name)),
    )
    .map(
      ({ path, line, name }) =>
        `${path}:${line} touches ${name}: take it from the runtime, or allow it here with a reason`,
    )
}

function covers(place: string, path: string): boolean {
  return place.endsWith('/') ? path.startsWith(place) : path === place
}

function nodeViolations(sources: Sources): string[] {
  return importsOf(sources)
    .filter(
      ({ from, specifier }) => isBuiltin(specifier) && !nodeAllowed.some((place) => covers(place, from)),
    )
    .map(({ from, line, specifier }) => `${from}:${line} imports ${specifier}`)
}

function rootViolations(sources: Sources): string[] {
  const imports = importsOf(sources)
  const reached = new Set([rootEntry])
  for (const path of reached) {
    for (const { from, target } of imports) if (from === path && target !== undefined) reached.add(target)
  }
  const { dependencies, devDependencies, peerDependencies } = packageJson()
  // A development dependency that is imported is compiled into dist, unless it is also a peer.
  const always = Object.keys({ ...dependencies, ...devDependencies }).filter(
    (name) => !(name in peerDependencies),
  )
  return imports
    .filter(({ from, target, specifier, lazy }) => {
      if (!reached.has(from) || target !== undefined) return false
      return isBuiltin(specifier) || !(always.includes(specifier) || (lazy && lazyInRoot.includes(specifier)))
    })
    .map(({ from, line, specifier }) => `${from}:${line} imports ${specifier}, and the root entry reaches it`)
}

function isBuiltin(specifier: string): boolean {
  return specifier.startsWith('node:')
}

function barrelViolations(sources: Sources): string[] {
  const elsewhere = importsOf(sources)
    .filter(({ from, reexport }) => reexport && !entries.has(from))
    .map(({ from, line }) => `${from}:${line} re-exports: only package entries do`)
  const busy = [...sources]
    .filter(([path]) => floorOf(path, floors)?.floor === 6)
    .filter(([path, text]) =>
      ts
        .createSourceFile(path, text, ts.ScriptTarget.Latest)
        .statements.some((statement) => !ts.isExportDeclaration(statement) || !statement.moduleSpecifier),
    )
    .map(([path]) => `${path} does more than export from other files`)
  return [...elsewhere, ...busy]
}
