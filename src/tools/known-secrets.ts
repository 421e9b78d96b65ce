import { Scrubber } from '../scrubber.ts'
import type { SecretEntry } from '../secret.ts'

/** The secrets of one run: those of its tool sets when it began, and those that came to light since. */
export class KnownSecrets {
  #entries: readonly SecretEntry[]
  #scrubber: Scrubber

  /** `scrubber`: one that is ready for these entries, for making one takes time. */
  constructor(entries: readonly SecretEntry[] = [], scrubber = new Scrubber(entries)) {
    this.#entries = entries
    this.#scrubber = scrubber
  }

  /** Scrubs everything known so far. Ask again after `add`. */
  get scrubber(): Scrubber {
    return this.#scrubber
  }

  add(entries: readonly SecretEntry[]): void {
    const known = new Set(this.#entries.map(({ value }) => value))
    const fresh = entries.filter(({ value }) => !known.has(value))
    if (fresh.length === 0) return
    this.#entries = [...this.#entries, ...fresh]
    this.#scrubber = new Scrubber(this.#entries)
  }
}
