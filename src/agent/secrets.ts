import { Scrubber } from '../scrubber.ts'
import type { SecretEntry } from '../secret.ts'

/** What must not be seen of one run. It grows: a config function may bring a value that no one knew before. */
export class RunSecrets {
  #entries: readonly SecretEntry[]
  #scrubber: Scrubber

  constructor(known: Scrubber, entries: readonly SecretEntry[]) {
    this.#scrubber = known
    this.#entries = entries
  }

  get scrubber(): Scrubber {
    return this.#scrubber
  }

  add(entries: readonly SecretEntry[]): void {
    const added = entries.filter(({ value }) => !this.#entries.some((entry) => entry.value === value))
    if (added.length === 0) return
    this.#entries = [...this.#entries, ...added]
    this.#scrubber = new Scrubber(this.#entries)
  }
}

/** Keeps the scrubber of the secrets that were current last: building one costs more than a short run. */
export class ScrubberCache {
  #entries: readonly SecretEntry[] = []
  #scrubber = new Scrubber([])

  for(entries: readonly SecretEntry[]): Scrubber {
    const same =
      entries.length === this.#entries.length &&
      entries.every(({ name, value }, index) => {
        const known = this.#entries[index]
        return known?.name === name && known.value === value
      })
    if (!same) {
      this.#entries = entries
      this.#scrubber = new Scrubber(entries)
    }
    return this.#scrubber
  }
}
