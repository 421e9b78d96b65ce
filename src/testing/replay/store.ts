import type { JsonValue } from '../../json.ts'
import { systemRuntime } from '../../runtime.ts'
import type { Entry } from '../../transcript/entry.ts'
import { MemoryStore } from '../../transcript/store.ts'
import { jsonDifferences } from '../json-difference.ts'

/** Where a transcript that was made again first differs from what was recorded. */
export interface FirstDifference {
  readonly position: number
  /** Within the entry; `$` is all of it. */
  readonly path: string
  /** Absent: nothing is there. */
  readonly expected?: JsonValue
  readonly actual?: JsonValue
}

/** Keeps the conversation that is made again, compares it as it grows, and lets others wait until it has grown. */
export class ReplayStore extends MemoryStore {
  readonly entries: Entry[] = []
  readonly #expected: readonly Entry[]
  readonly #onDifference: () => void
  #difference: FirstDifference | undefined
  #growth = growth()

  constructor(expected: readonly Entry[], onDifference: () => void) {
    super()
    this.#expected = expected
    this.#onDifference = onDifference
  }

  get difference(): FirstDifference | undefined {
    return this.#difference
  }

  override async append(id: string, expectedVersion: number, entries: readonly Entry[]): Promise<number> {
    const version = await super.append(id, expectedVersion, entries)
    for (const entry of entries) this.#compare(asJson(entry))
    this.#growth.happen()
    this.#growth = growth()
    return version
  }

  /** The conversation ought to have this many entries by now. */
  expectLength(length: number): void {
    if (this.entries.length < length) this.#differ(this.entries.length, undefined)
  }

  /**
   * Waits until there are so many entries. Not for ever: an agent that does otherwise than was recorded may be waiting
   * for whoever waits here.
   */
  async reached(length: number): Promise<void> {
    while (this.entries.length < length && !this.#difference) {
      const enough = new AbortController()
      const patience = systemRuntime.sleep(patienceMs, enough.signal).then(
        () => 'lost',
        () => 'over',
      )
      const first = await Promise.race([this.#growth.happened, patience])
      enough.abort('over')
      if (first === 'lost') return
    }
  }

  #compare(entry: Entry): void {
    this.entries.push(entry)
    this.#differ(this.entries.length - 1, entry)
  }

  #differ(position: number, actual: Entry | undefined): void {
    if (this.#difference) return
    const [found] = jsonDifferences(json(this.#expected[position]), json(actual))
    if (!found) return
    this.#difference = { position, ...found }
    this.#onDifference()
  }
}

const patienceMs = 1_000

/** What comes out of JSON: what was `undefined` is not there any more. */
export const asJson = <T>(value: T): T => JSON.parse(JSON.stringify(value)) as T

// Entries are JSON, as their type says, but for the index signature of JSON objects.
const json = (entry: Entry | undefined): JsonValue | undefined => entry as unknown as JsonValue | undefined

function growth(): { happened: Promise<'grown'>; happen: () => void } {
  let happen = () => {}
  const happened = new Promise<'grown'>((resolve) => {
    happen = () => resolve('grown')
  })
  return { happened, happen }
}
