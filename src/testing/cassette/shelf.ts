import { canonicalJson, type JsonObject } from '../../json.ts'
import { exhausted, missed, nameOf } from './miss.ts'

/** Recordings of one kind, found by what was asked; those that were asked the same are given out in order. */
export class Shelf<Recording extends { readonly asked: JsonObject }> {
  readonly #recordings: readonly Recording[]
  readonly #settings: { readonly path: string; readonly match: 'strict' | 'loose' }
  readonly #byAsked = new Map<string, readonly Recording[]>()
  readonly #taken = new Set<Recording>()

  constructor(
    recordings: readonly Recording[],
    settings: { readonly path: string; readonly match: 'strict' | 'loose' },
  ) {
    this.#recordings = recordings
    this.#settings = settings
    for (const recording of recordings) {
      const key = canonicalJson(recording.asked)
      this.#byAsked.set(key, [...(this.#byAsked.get(key) ?? []), recording])
    }
  }

  /** @throws CassetteMissError */
  take(asked: JsonObject): Recording {
    const found = this.show(asked)
    this.#taken.add(found)
    return found
  }

  /** What would be taken. @throws CassetteMissError */
  show(asked: JsonObject): Recording {
    const fitting = this.#byAsked.get(canonicalJson(asked)) ?? []
    const next = fitting.find((recording) => !this.#taken.has(recording))
    if (next) return next
    const { path, match } = this.#settings
    const last = fitting.at(-1)
    if (!last) throw missed(path, asked, this.#recordings)
    if (match === 'loose') return last
    throw exhausted(path, asked, fitting.length)
  }

  /** What was never taken, in words. */
  left(): string[] {
    const left = this.#recordings.filter((recording) => !this.#taken.has(recording))
    return left.map(
      (recording) => `the ${nameOf(recording.asked)}, number ${this.#recordings.indexOf(recording) + 1}`,
    )
  }
}
