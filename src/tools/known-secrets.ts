import { Scrubber } from '../scrubber.ts'
import type { SecretEntry } from '../secret.ts'

/** The secrets of one run: those of its tool sets when it began, and those that came to light since. */
export class KnownSecrets {
  readonly #entries = new Map<string, SecretEntry>()
  #scrubber: Scrubber

  /** `scrubber`: one that is ready for these entries, for making one takes time. */
  constructor(entries: readonly SecretEntry[] = [], scrubber = new Scrubber(entries)) {
    for (const entry of entries) this.#entries.set(entry.value, entry)
    this.#scrubber = scrubber
  }

  /** Scrubs everything known so far. Ask again after `add`. */
  get scrubber(): Scrubber {
    return this.#scrubber
  }

  add(entries: readonly SecretEntry[]): void {
    const before = this.#entries.size
    for (const entry of entries) if (!this.#entries.has(entry.value)) this.#entries.set(entry.value, entry)
    if (this.#entries.size > before) this.#scrubber = new Scrubber([...this.#entries.values()])
  }
}
