import { type JsonValue, jsonCopy } from '../../json.ts'
import type { Entry } from '../../transcript/entry.ts'
import { MemoryStore } from '../../transcript/store.ts'
import { jsonDifferences } from '../json-difference.ts'
import { isBrokenOff } from './runs.ts'

/** Where a transcript that was made again first differs from what was recorded. */
export interface FirstDifference {
  readonly position: number
  /** Within the entry; `$` is all of it. */
  readonly path: string
  /** Absent: nothing is there. */
  readonly expected?: JsonValue
  readonly actual?: JsonValue
}

/** Keeps the conversation that is made again, and compares it as it grows. */
export class ReplayStore extends MemoryStore {
  readonly #recorded: readonly Entry[]
  /** Stops a run that can only go on differing. */
  readonly #onDiverged: () => void
  /** By the position that each of them has in the record. */
  readonly #made = new Map<number, Entry>()
  /** The first position of which nothing was made yet. */
  #next = 0
  #difference: FirstDifference | undefined

  constructor(recorded: readonly Entry[], onDiverged: () => void) {
    super()
    this.#recorded = recorded
    this.#onDiverged = onDiverged
  }

  get difference(): FirstDifference | undefined {
    return this.#difference
  }

  /** The conversation as it was made again, up to the first difference. */
  get entries(): readonly Entry[] {
    const end = this.#difference?.position ?? this.#recorded.length
    return this.#recorded.slice(0, end).flatMap((_, position) => this.#made.get(position) ?? [])
  }

  override async append(id: string, expectedVersion: number, entries: readonly Entry[]): Promise<number> {
    const version = await super.append(id, expectedVersion, entries)
    for (const entry of entries) this.#compare(jsonCopy(entry))
    return version
  }

  /** The conversation ought to have come this far. */
  expectLength(length: number): void {
    if (this.#next < length) this.#differ(this.#next, undefined)
  }

  #compare(entry: Entry): void {
    // What comes after the first difference follows from it, but for the calls of a step, which are made side by side.
    if (this.#difference && callIn(entry) === undefined) {
      this.#onDiverged()
      return
    }
    const position = this.#placeOf(entry)
    const made = asRecorded(entry, this.#recorded[position])
    this.#made.set(position, made)
    while (this.#made.has(this.#next)) this.#next += 1
    this.#differ(position, made)
  }

  /** Which of several calls begins or ends first is decided by the clock: each finds its own place. */
  #placeOf(entry: Entry): number {
    const call = callIn(entry)
    for (let position = this.#next; call !== undefined; position += 1) {
      const recorded = this.#recorded[position]
      const other = recorded && callIn(recorded)
      if (other === undefined) break
      if (other === call && !this.#made.has(position)) return position
    }
    return this.#next
  }

  #differ(position: number, actual: Entry | undefined): void {
    if (this.#difference && this.#difference.position < position) return
    const [found] = jsonDifferences(json(this.#recorded[position]), json(actual))
    if (found) this.#difference = { position, ...found }
  }
}

/** Names the half of the ledger that an entry is, and its call. */
function callIn(entry: Entry): string | undefined {
  if (entry.type === 'tool_started') return `${entry.type} ${entry.callId}`
  return entry.type === 'tool_finished' ? `${entry.type} ${entry.result.callId}` : undefined
}

/**
 * What a request was taken for depends on all that it held, and is nothing that happened. What a reply that broke off has
 * cost is our own estimate, of a request that the clock had a say in.
 */
function asRecorded(made: Entry, recorded: Entry | undefined): Entry {
  if (made.type !== 'reply' || recorded?.type !== 'reply') return made
  const isEstimate = isBrokenOff(made) && isBrokenOff(recorded) && made.usage.estimated
  const taken = isEstimate ? { ...made, usage: recorded.usage } : made
  const { estimatedInputTokens } = recorded
  if (estimatedInputTokens !== undefined) return { ...taken, estimatedInputTokens }
  const { estimatedInputTokens: _, ...rest } = taken
  return rest
}

// Entries are JSON, as their type says, but for the index signature of JSON objects.
const json = (entry: Entry | undefined): JsonValue | undefined => entry as unknown as JsonValue | undefined
