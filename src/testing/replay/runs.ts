import type { Entry, InputEntry, ReplyEntry, RunEndedEntry } from '../../transcript/entry.ts'

/** Entries that belong together, as they stand in a transcript. */
export interface Passage {
  readonly position: number
  readonly entries: readonly Entry[]
  /** Absent: no run made them, or none that can be made again. */
  readonly run?: RecordedRun
  /** Why the run that made them cannot be made again. */
  readonly obstacle?: string
}

export interface RecordedRun {
  readonly input: InputEntry
  readonly replies: readonly ReplyEntry[]
  readonly ended: RunEndedEntry
}

/** A transcript in its runs, and in what stands between them. */
export function passagesOf(entries: readonly Entry[]): Passage[] {
  const passages: Passage[] = []
  for (let position = 0; position < entries.length; ) {
    const length = passageLength(entries, position)
    passages.push(passageOf(position, entries.slice(position, position + length)))
    position += length
  }
  return passages
}

function passageLength(entries: readonly Entry[], position: number): number {
  const first = entries[position]
  if (first?.type !== 'input') return 1
  let length = 1
  for (let index = position + 1; index < entries.length; index += 1) {
    const entry = entries[index]
    if (entry?.type === 'input') break
    if (entry && 'runId' in entry && entry.runId === first.runId) length = index + 1 - position
  }
  return length
}

function passageOf(position: number, entries: readonly Entry[]): Passage {
  const [input] = entries
  if (input?.type !== 'input') return { position, entries }
  const replies = entries.filter((entry) => entry.type === 'reply')
  const ended = entries.at(-1)
  if (ended?.type !== 'run_ended') return { position, entries, obstacle: 'it never ended' }
  const obstacle = obstacleIn(entries, replies, ended)
  return obstacle ? { position, entries, obstacle } : { position, entries, run: { input, replies, ended } }
}

/** True for what a call left behind that failed in the middle of its reply. */
export const isBrokenOff = ({ kind, landing }: ReplyEntry): boolean =>
  kind === 'partial' && landing === undefined

/** What of a run lies outside of its transcript. */
function obstacleIn(
  entries: readonly Entry[],
  replies: readonly ReplyEntry[],
  { limit, error }: RunEndedEntry,
): string | undefined {
  if (entries.some(({ type }) => type === 'message' || type === 'block' || type === 'compaction')) {
    return 'something else was written down while it went on'
  }
  if (entries.some(({ type }) => suspensions.has(type))) return 'it was suspended or resumed'
  if (error?.code === 'aborted' || error?.code === 'agent_closed') return 'it was aborted'
  if (limit === 'time' || replies.some(({ landing }) => landing === 'time')) return 'its time was up'
  if (replies.some((reply) => isBrokenOff(reply) && reply.stopReason !== 'unknown')) {
    return 'it failed over a reply that was not kept'
  }
  const calls = replies.at(-1)?.toolCalls?.length ?? 0
  if (error && (error.code === 'missing_package' || (calls > 1 && stoppingTools.has(error.code)))) {
    return 'a tool ended it while others were executed'
  }
  return undefined
}

const suspensions: ReadonlySet<Entry['type']> = new Set([
  'approval_requested',
  'approval_decided',
  'run_suspended',
  'run_resumed',
])

const stoppingTools: ReadonlySet<string> = new Set(['fatal_tool', 'unexpected'])
