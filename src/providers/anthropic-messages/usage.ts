import { isJsonObject, type JsonValue } from '../../json.ts'
import type { Usage } from '../../messages.ts'

/**
 * What a message cost so far. It is reported at its start, and again, counted up, towards its end, there in full or only
 * for the answer. On this wire `input_tokens` are those that were neither read from a cache nor written to one; in ours
 * they are all.
 */
export class MessageUsage {
  #input: Input | undefined
  #outputTokens: number | undefined
  #reasoningTokens: number | undefined

  /** Absent unless input and output were both reported: half of it would pass for all of it. */
  get total(): Usage | undefined {
    const { tokens, cached, written } = this.#input ?? {}
    if (tokens === undefined || this.#outputTokens === undefined) return undefined
    return {
      inputTokens: tokens + (cached ?? 0) + (written ?? 0),
      outputTokens: this.#outputTokens,
      ...(cached !== undefined && { cachedInputTokens: cached }),
      ...(written !== undefined && { cacheWriteTokens: written }),
      ...(this.#reasoningTokens !== undefined && { reasoningTokens: this.#reasoningTokens }),
    }
  }

  add(wire: JsonValue | undefined): void {
    if (!isJsonObject(wire)) return
    const { output_tokens_details: details } = wire
    const tokens = count(wire['input_tokens'])
    const cached = count(wire['cache_read_input_tokens'])
    const written = count(wire['cache_creation_input_tokens'])
    // Some gateways report nothing but zeros where they mean that nothing changed.
    const isReport = (tokens ?? 0) + (cached ?? 0) + (written ?? 0) > 0
    if (isReport || this.#input === undefined) {
      const known = this.#input
      const input = {
        tokens: tokens ?? known?.tokens,
        cached: cached ?? known?.cached,
        written: written ?? known?.written,
      }
      if (Object.values(input).some((value) => value !== undefined)) this.#input = input
    }
    // The last report holds, also where it is none that can be counted: the ones before it are of a part.
    if (isGiven(wire['output_tokens'])) this.#outputTokens = count(wire['output_tokens'])
    const reasoning = isJsonObject(details) ? count(details['thinking_tokens']) : undefined
    this.#reasoningTokens = reasoning ?? this.#reasoningTokens
  }
}

interface Input {
  readonly tokens: number | undefined
  readonly cached: number | undefined
  readonly written: number | undefined
}

function isGiven(value: JsonValue | undefined): boolean {
  return value !== undefined && value !== null
}

function count(value: JsonValue | undefined): number | undefined {
  return typeof value === 'number' && Number.isSafeInteger(value) && value >= 0 ? value : undefined
}
