/** What is measured, and how a contestant is made to show it. */
import { spawnSync } from 'node:child_process'
import { mkdtempSync, readdirSync, readFileSync, rmSync, statSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { gzipSync } from 'node:zlib'
import { build } from 'esbuild'
import { contestants, homeOf, type Name, programOf, root } from './contestants.ts'
import type { Values } from './in-child.ts'
import type { Tally } from './provider.ts'

export type Unit = 'µs' | 'bytes' | ''

export interface Measure {
  readonly name: string
  /** What of it is shown; `goal` is the ratio to the floor that is to be reached. */
  readonly rows: Readonly<
    Record<string, { readonly title: string; readonly unit: Unit; readonly goal?: number }>
  >
  /** Default: all. */
  readonly contestants?: readonly Name[]
  /** It comes out the same each time. */
  readonly isExact?: boolean
  take(name: Name, url: string): Promise<Values>
}

/** What each run of a measure has to have asked of the provider. */
interface Asking {
  readonly requests: number
  /** Of all requests of the measure; they differ where a conversation goes on. */
  readonly messages?: number
  readonly results?: number
}

async function inProcess(measure: string, name: Name, url: string, asking: Asking): Promise<Values> {
  await fetch(new URL('/reset', url))
  const started = process.hrtime.bigint()
  const { stdout, status } = spawnSync(process.execPath, ['--expose-gc', programOf(name), measure], {
    env: { ...process.env, BENCH_URL: url, NODE_ENV: 'production' },
    stdio: ['ignore', 'pipe', 'inherit'],
    encoding: 'utf8',
  })
  const wall = Number(process.hrtime.bigint() - started) / 1e3
  if (status !== 0) throw new Error(`${name} failed at ${measure}.`)
  const tally = (await (await fetch(new URL('/tally', url))).json()) as Tally // our own server
  for (const [key, expected] of Object.entries(asking)) {
    const asked = tally[key as keyof Asking] // its own keys
    if (asked !== expected) tally.faults.push(`${asked} ${key} instead of ${expected}`)
  }
  if (tally.faults.length > 0) throw new Error(`${name} at ${measure}: ${tally.faults.join('; ')}`)
  const measured = JSON.parse(stdout) as Values // our own program
  return 'wall' in measured ? measured : { ...measured, spawned: wall }
}

/** Requests, messages in them and results of tools in those, of so many runs of ten iterations. */
function ofTen(runs: number): Asking {
  // The n-th request has the question, n-1 calls and as many results.
  return { requests: 10 * runs, messages: 100 * runs, results: 45 * runs }
}

const ofOne = (runs: number): Asking => ({ requests: runs, messages: runs, results: 0 })

function ofTurns(before: number, runs: number): Asking {
  // The n-th request has 2n-2 messages more, and its question.
  return { requests: runs, messages: runs * before + runs * runs, results: 0 }
}

const inChild = (
  name: string,
  asking: Asking,
  rows: Measure['rows'],
  contestants?: readonly Name[],
): Measure => ({
  name,
  rows,
  ...(contestants && { contestants }),
  take: (contestant, url) => inProcess(name, contestant, url, asking),
})

/** Importing what a contestant is made of, and nothing else, in its own process. */
const importing: Measure = {
  name: 'import',
  rows: {
    wall: { title: 'import, over nothing; the floor imports zod', unit: 'µs', goal: 0.33 },
    rss: { title: 'resident memory after import, over nothing', unit: 'bytes' },
  },
  // The fastest of some: what else the machine does only adds to it, and here it is much beside the little that is measured.
  take: async (name) => {
    const taken = Array.from({ length: 5 }, () => {
      const nothing = imported([], homeOf(name))
      const all = imported(importsOf[name], homeOf(name))
      return { nothing, all }
    })
    const least = (of: 'nothing' | 'all', what: 'wall' | 'rss') =>
      Math.min(...taken.map((each) => each[of][what]))
    return {
      wall: least('all', 'wall') - least('nothing', 'wall'),
      rss: least('all', 'rss') - least('nothing', 'rss'),
    }
  },
}

// The floor's is zod alone, which stands in for what everybody has anyway.
const importsOf: Readonly<Record<Name, readonly string[]>> = {
  floor: ['zod'],
  tercet: ['tercet'],
  openai: ['openai'],
  ai: ['ai'],
  'openai-agents': ['@openai/agents'],
}

function imported(packages: readonly string[], cwd: string): { wall: number; rss: number } {
  const code = `${packages.map((name) => `await import('${name}')`).join('\n')}\nconsole.log(process.memoryUsage().rss)`
  const started = process.hrtime.bigint()
  const { stdout } = spawnSync(process.execPath, ['--input-type=module', '-e', code], {
    cwd,
    stdio: ['ignore', 'pipe', 'inherit'],
    encoding: 'utf8',
  })
  return { wall: Number(process.hrtime.bigint() - started) / 1e3, rss: Number(stdout) }
}

/** What an application ships that bundles an agent with one tool, minified and compressed. */
const bundle: Measure = {
  name: 'bundle',
  isExact: true,
  rows: {
    gzip: { title: 'bundle of an agent and a tool, gzip: loaded at the start', unit: 'bytes' },
    whole: { title: 'the same with all that may be loaded later', unit: 'bytes' },
  },
  take: (name) => bundled(bundlesOf[name], homeOf(name)),
}

// Without the clients of models and without what only they bring who want it. The floor is what it is.
const broughtAnyway = ['zod', 'zod-to-json-schema', '@pydantic/genai-prices', '@opentelemetry/api']
const bundlesOf: Readonly<Record<Name, string>> = {
  floor: "export { contestant } from './bench/floor.ts'",
  tercet: "export { Agent, secret, tool, ToolSet } from 'tercet'",
  openai: "export { OpenAI } from 'openai'",
  ai: "export { generateText, streamText, tool } from 'ai'",
  'openai-agents': "export { Agent, run, tool } from '@openai/agents'",
}

async function bundled(contents: string, resolveDir: string): Promise<{ gzip: number; whole: number }> {
  const { outputFiles, metafile } = await build({
    stdin: { contents, resolveDir, loader: 'ts' },
    outdir: `${resolveDir}out`,
    write: false,
    metafile: true,
    bundle: true,
    splitting: true,
    minify: true,
    format: 'esm',
    platform: 'node',
    target: 'node22',
    external: contents.includes("'openai'") ? ['zod'] : [...broughtAnyway, 'openai'],
    tsconfigRaw: '{}',
    logLevel: 'error',
  })
  const outputs = Object.entries(metafile.outputs)
  const loaded = outputs.filter(([, { entryPoint }]) => entryPoint === '<stdin>').map(([path]) => path)
  for (const path of loaded) {
    for (const { path: next, kind } of metafile.outputs[path]?.imports ?? []) {
      if (kind === 'import-statement' && next in metafile.outputs && !loaded.includes(next)) loaded.push(next)
    }
  }
  const isLoaded = (path: string) => loaded.some((each) => path.endsWith(each))
  const sizeOf = (files: typeof outputFiles) =>
    files.reduce((sum, { contents }) => sum + gzipSync(contents).length, 0)
  return { gzip: sizeOf(outputFiles.filter(({ path }) => isLoaded(path))), whole: sizeOf(outputFiles) }
}

/** What `npm install` puts into an empty project, without peers. */
const installing: Measure = {
  name: 'install',
  isExact: true,
  contestants: ['tercet', 'openai', 'ai', 'openai-agents'],
  rows: {
    packages: { title: 'packages installed, without peers', unit: '' },
    size: { title: 'size installed, without peers', unit: 'bytes' },
  },
  take: async (name) => installed(name),
}

function installed(name: Name): { packages: number; size: number } {
  const folder = mkdtempSync(join(tmpdir(), 'bench-'))
  try {
    writeFileSync(join(folder, 'package.json'), '{ "private": true }')
    const specs =
      name === 'tercet'
        ? [packed(folder)]
        : contestants[name].packages.map((each) => `${each}@${versionOf(each)}`)
    npm(folder, 'install', '--legacy-peer-deps', '--ignore-scripts', '--no-audit', '--no-fund', ...specs)
    const files = readdirSync(join(folder, 'node_modules'), { recursive: true, withFileTypes: true })
    const lock = JSON.parse(readFileSync(join(folder, 'package-lock.json'), 'utf8')) as { packages: object } // npm's own
    const sizes = files
      .filter((file) => file.isFile())
      .map((file) => statSync(join(file.parentPath, file.name)).size)
    // The project itself is one of them.
    return {
      packages: Object.keys(lock.packages).length - 1,
      size: sizes.reduce((sum, size) => sum + size, 0),
    }
  } finally {
    rmSync(folder, { recursive: true })
  }
}

const packed = (folder: string): string =>
  join(folder, npm(root, 'pack', '--ignore-scripts', '--silent', '--pack-destination', folder).trim())

function versionOf(name: string): string {
  const { dependencies } = JSON.parse(readFileSync(`${root}bench/peers/package.json`, 'utf8')) as {
    dependencies: Record<string, string>
  }
  return dependencies[name] ?? 'latest'
}

function npm(cwd: string, ...rest: readonly string[]): string {
  const { stdout, status } = spawnSync('npm', [...rest, '--loglevel=error'], {
    cwd,
    stdio: ['ignore', 'pipe', 'inherit'],
    encoding: 'utf8',
  })
  if (status !== 0) throw new Error(`npm ${rest[0]} failed.`)
  return stdout
}

export const measures: readonly Measure[] = [
  inChild(
    'start',
    { requests: 1, messages: 1, results: 0 },
    {
      spawned: { title: 'cold start to the first answer', unit: 'µs', goal: 1.4 },
      cpu: { title: 'cold start to the first answer, CPU', unit: 'µs' },
    },
  ),
  importing,
  inChild('one-shot', ofOne(3_500), { cpu: { title: 'one-shot run, CPU', unit: 'µs', goal: 1.4 } }),
  inChild('tools', ofTen(600), { cpu: { title: 'ten iterations, CPU', unit: 'µs', goal: 1.5 } }),
  inChild('tools-streamed', ofTen(600), {
    cpu: { title: 'ten iterations streamed, CPU', unit: 'µs', goal: 1.6 },
  }),
  inChild('tokens', ofOne(55), { cpu: { title: 'a streamed token of 5,000, CPU', unit: 'µs', goal: 1.5 } }),
  inChild('fresh', ofOne(55), {
    cpu: { title: 'the same, each event with an id of its own, CPU', unit: 'µs', goal: 1.5 },
  }),
  inChild('first-token', ofOne(450), { wall: { title: 'time to the first token', unit: 'µs', goal: 1.2 } }),
  inChild('concurrent', ofTen(1_020), {
    wall: { title: '1,000 runs of ten iterations at once', unit: 'µs' },
    cpu: { title: '1,000 runs at once, CPU', unit: 'µs', goal: 1.5 },
    rss: { title: '1,000 runs at once, peak memory', unit: 'bytes', goal: 1.2 },
  }),
  inChild('turn-100', ofTurns(100, 600), {
    cpu: { title: 'one more turn at 100 messages, CPU', unit: 'µs', goal: 1.5 },
  }),
  inChild('turn-1000', ofTurns(1_000, 120), {
    cpu: { title: 'one more turn at 1,000 messages, CPU', unit: 'µs', goal: 1.5 },
  }),
  inChild('turn-5000', ofTurns(5_000, 70), {
    cpu: { title: 'one more turn at 5,000 messages, CPU', unit: 'µs', goal: 1.5 },
  }),
  inChild(
    'envelope',
    { requests: 3, results: 0 },
    { cpu: { title: 'an answer of 5 MB in a JSON envelope, CPU', unit: 'µs' } },
    ['floor', 'tercet'],
  ),
  inChild('idle', ofOne(4_000), { heap: { title: 'heap of an idle conversation', unit: 'bytes' } }),
  inChild(
    'kept',
    { requests: 22, results: 0 },
    { heap: { title: 'heap of 5,000 messages, as a part of their JSON', unit: '' } },
  ),
  inChild('append', { requests: 0 }, { cpu: { title: 'a message kept in SQLite, CPU', unit: 'µs' } }, [
    'floor',
    'tercet',
  ]),
  bundle,
  installing,
  inChild('live', ofOne(550), { heap: { title: 'heap of a live run', unit: 'bytes' } }),
]
