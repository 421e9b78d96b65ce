import { existsSync, readFileSync } from 'node:fs'
import { Agent } from '../../src/agent/agent.ts'
import { compactor } from '../../src/memory/compaction.ts'
import { textOf } from '../../src/messages.ts'
import { calls } from '../../src/testing/script.ts'
import { ScriptedClient } from '../../src/testing/scripted-client.ts'
import { tool } from '../../src/tools/define.ts'
import type { Entry } from '../../src/transcript/entry.ts'
import { Transcript } from '../../src/transcript/transcript.ts'
import { requestFault } from '../laws/support/request-faults.ts'
import { traceFile, tracing, type World, watched } from './scripted-run.ts'

const pages = 14

/** Each page has a name of its own, by which it is known wherever its text goes. */
const page = (n: number) => `page-${n}; ${'x'.repeat(400)}`

const pagesIn = (text: string): number[] => [...text.matchAll(/page-(\d+);/g)].map(([, n]) => Number(n))

/** Reads page after page in a window that holds a few of them: older ones are summarised, two at a time. */
export function compactingAgent(world: World): Agent {
  const traced = tracing<CompactionTrace>(world)
  const store = watched(world, (id, version) => traced(id, { is: 'acknowledged', version }))
  const client = new ScriptedClient(async (request) => {
    const conversation = String(request.messages[0]?.content)
    const fault = requestFault(request)
    if (fault) traced(conversation, { is: 'fault', message: fault })
    const said = (await world.store.read(conversation)).filter(({ type }) => type === 'reply').length
    return said < pages ? calls(['page', { n: said }, `page_${said}`]) : 'The end.'
  })
  const summarizer = new ScriptedClient((request, options) => {
    const text = textOf(request.messages[0]?.content ?? '')
    const [earlier = '', told = ''] = text.split('<conversation>')
    const conversation = options?.scope?.conversationId ?? ''
    traced(conversation, { is: 'summarized', pages: pagesIn(told) })
    world.boundary()
    // Names what it stands for, so that it is seen whether anything is lost.
    return [...pagesIn(earlier), ...pagesIn(told)].map((n) => `page-${n};`).join(' ')
  })
  const read = tool({
    name: 'page',
    description: 'A page',
    parameters: { type: 'object', properties: { n: { type: 'number' } } },
    effect: 'read',
    execute: ({ n }) => page(Number(n)),
  })
  return new Agent({
    client,
    tools: [read],
    store,
    retry: false,
    planning: 'off',
    maxIterations: pages + 1,
    contextWindow: 1_200,
    maxOutputTokens: 100,
    compactor: compactor({ client: summarizer, maxSummaryTokens: 80, chunkTokens: 250, keepLast: 2 }),
  })
}

export type CompactionTrace =
  | { readonly is: 'acknowledged'; readonly version: number }
  | { readonly is: 'summarized'; readonly pages: readonly number[] }
  | { readonly is: 'fault'; readonly message: string }

export function compactionTraces(folder: string, conversation: string): CompactionTrace[] {
  const file = traceFile(folder, conversation)
  if (!existsSync(file)) return []
  const lines = readFileSync(file, 'utf8').split('\n').filter(Boolean)
  return lines.map((line) => JSON.parse(line) as CompactionTrace) // written above
}

/** What is wrong with a compacted run that was resumed, given what was left of it when it died. */
export function compactionFaults(
  left: { readonly entries: readonly Entry[]; readonly traces: readonly CompactionTrace[] },
  end: { readonly entries: readonly Entry[]; readonly traces: readonly CompactionTrace[] },
): string[] {
  const faults: string[] = []
  if (JSON.stringify(end.entries.slice(0, left.entries.length)) !== JSON.stringify(left.entries)) {
    faults.push('entries that were left changed')
  }
  const covered = new Set(pagesIn(new Transcript(left.entries).compaction?.summary ?? ''))
  for (const trace of end.traces.slice(left.traces.length)) {
    if (trace.is === 'fault') faults.push(trace.message)
    if (trace.is !== 'summarized') continue
    for (const n of trace.pages) {
      if (covered.has(n)) faults.push(`page ${n} was summarized again`)
      covered.add(n)
    }
  }
  const transcript = new Transcript(end.entries)
  const shown = transcript.compacted().flatMap(({ content }) => pagesIn(textOf(content)))
  const all = Array.from({ length: pages }, (_, n) => n)
  if (JSON.stringify(shown) !== JSON.stringify(all)) faults.push(`requests know of the pages ${shown}`)
  const archived = transcript
    .history()
    .flatMap(({ role, content }) => (role === 'tool' ? [textOf(content)] : []))
  if (JSON.stringify(archived) !== JSON.stringify(all.map(page)))
    faults.push('a page is not in the archive as it was')
  const last = end.entries.at(-1)
  if (last?.type !== 'run_ended' || last.status !== 'done') faults.push('it did not come to its end')
  return faults
}
