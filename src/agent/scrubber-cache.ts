import { Scrubber } from '../scrubber.ts'
import type { SecretEntry } from '../secret.ts'

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
