import { spawn } from 'node:child_process'
import { existsSync, mkdtempSync, readFileSync, rmSync } from 'node:fs'
import { join } from 'node:path'
import { fileURLToPath } from 'node:url'
import { build } from 'esbuild'
import type { Effect } from '../../src/tools/tool.ts'
import type { Entry } from '../../src/transcript/entry.ts'
import type { ConversationStore } from '../../src/transcript/store.ts'
import { replies, type Trace, traceFile } from './scripted-run.ts'

export interface ChildOrder {
  readonly store: { readonly path: string } | { readonly connectionString: string }
  readonly folder: string
  /** The conversation it runs in, or goes on with. Absent: it recovers all. */
  readonly conversation?: string
  /** The boundary at which it kills itself; the first is 1. */
  readonly dieAt?: number
  readonly pretended?: Effect
  /** Its conversation is compacted. */
  readonly compacts?: true
  readonly slowMs?: number
}

export interface ChildEnd {
  /** `SIGKILL` when it was killed. */
  readonly signal: NodeJS.Signals | null
  /** How many boundaries it passed, if it came to its end. */
  readonly boundaries: number | undefined
  /** Milliseconds since it began. */
  readonly ms: number
}

/** The program of the processes, in one file: a hundred of them start in no time then. Beside the packages it loads. */
export async function buildProgram(): Promise<{ program: string; remove: () => void }> {
  const folder = mkdtempSync(fileURLToPath(new URL('../../node_modules/.crash-', import.meta.url)))
  const program = join(folder, 'child.mjs')
  await build({
    entryPoints: [fileURLToPath(new URL('./child.ts', import.meta.url))],
    outfile: program,
    bundle: true,
    platform: 'node',
    format: 'esm',
    packages: 'external',
  })
  return { program, remove: () => rmSync(folder, { recursive: true, force: true }) }
}

/** Runs a process to its end; `killAfterMs` after it has begun, it is killed. */
export function runChild(program: string, order: ChildOrder, killAfterMs?: number): Promise<ChildEnd> {
  const child = spawn(process.execPath, [program, JSON.stringify(order)], {
    stdio: ['ignore', 'pipe', 'pipe'],
  })
  let said = ''
  let complaints = ''
  let begun = 0
  child.stderr.setEncoding('utf8').on('data', (text: string) => {
    complaints += text
  })
  child.stdout.setEncoding('utf8').on('data', (text: string) => {
    if (said === '') {
      begun = performance.now()
      if (killAfterMs !== undefined) setTimeout(() => child.kill('SIGKILL'), killAfterMs)
    }
    said += text
  })
  return new Promise((resolve, reject) => {
    child.on('error', reject)
    child.on('close', (code, signal) => {
      if (signal === null && code !== 0) return reject(new Error(`The process failed: ${complaints}`))
      const last = said.trim().split('\n').at(-1)
      const ms = performance.now() - begun
      resolve({ signal, boundaries: signal === null ? Number(last) : undefined, ms })
    })
  })
}

export function tracesOf(folder: string, conversation: string): Trace[] {
  const file = traceFile(folder, conversation)
  if (!existsSync(file)) return []
  const lines = readFileSync(file, 'utf8').split('\n').filter(Boolean)
  return lines.map((line) => JSON.parse(line) as Trace) // written by scripted-run.ts
}

/** What a conversation was when its process died. */
export interface Remains {
  readonly conversation: string
  readonly entries: readonly Entry[]
  readonly traces: readonly Trace[]
}

export async function remainsOf(
  store: ConversationStore,
  folder: string,
  conversation: string,
): Promise<Remains> {
  return { conversation, entries: await store.read(conversation), traces: tracesOf(folder, conversation) }
}

/** What is wrong with a run that was resumed, given what was left of it each time it died. */
export function faultsOf(deaths: readonly Remains[], end: Remains): string[] {
  const faults: string[] = []
  for (const { entries, traces } of deaths) {
    const acknowledged = traces.reduce(
      (most, trace) => (trace.is === 'acknowledged' ? trace.version : most),
      0,
    )
    if (acknowledged > entries.length)
      faults.push(`of ${acknowledged} acknowledged entries ${entries.length} were left`)
    if (JSON.stringify(end.entries.slice(0, entries.length)) !== JSON.stringify(entries)) {
      faults.push('entries that were left changed')
    }
    const finished = new Set(
      entries.flatMap((entry) => (entry.type === 'tool_finished' ? [entry.result.callId] : [])),
    )
    for (const trace of end.traces.slice(traces.length)) {
      if (trace.is === 'effect' && finished.has(trace.callId))
        faults.push(`${trace.callId} ran again though it was finished`)
    }
  }
  const done = new Map<string, string[]>()
  for (const trace of end.traces) {
    if (trace.is === 'fault') faults.push(trace.message)
    if (trace.is !== 'effect') continue
    done.set(trace.callId, [...(done.get(trace.callId) ?? []), trace.key])
    if (trace.tool === 'once' && (done.get(trace.callId)?.length ?? 0) > 1)
      faults.push(`${trace.callId} ran twice`)
  }
  for (const [callId, keys] of done) if (new Set(keys).size > 1) faults.push(`the key of ${callId} changed`)
  const last = end.entries.at(-1)
  if (last?.type !== 'run_ended' || last.status !== 'done') faults.push('it did not come to its end')
  const said = end.entries.filter(({ type }) => type === 'reply').length
  if (said !== replies.length) faults.push(`there are ${said} replies`)
  return faults.map((fault) => `${end.conversation}: ${fault}`)
}

/** Does `work` for each item, some at once. */
export async function each<T>(
  items: Iterable<T>,
  atOnce: number,
  work: (item: T) => Promise<void>,
): Promise<void> {
  const queue = [...items]
  const worker = async () => {
    for (let item = queue.shift(); item !== undefined; item = queue.shift()) await work(item)
  }
  await Promise.all(Array.from({ length: atOnce }, worker))
}
