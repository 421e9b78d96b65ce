import type { ModelName } from '../client/client.ts'
import type { ReplyEntry } from '../transcript/entry.ts'

/**
 * How many tokens a token of our estimate really is, for each model of a conversation, learned from what providers report.
 * A fold over replies: the same replies, the same factors.
 *
 * A factor changes in steps of a tenth, at once when requests are longer than thought, and else only when they are clearly
 * shorter: each change moves what is cut of a conversation.
 */
export class Calibration {
  /** By model, the exponent of `base`. Made with the first one. */
  #steps: Map<string, number> | undefined

  learn({ usage, estimatedInputTokens, ...model }: LearnedFrom): void {
    if (estimatedInputTokens === undefined || usage.estimated === true) return
    const ratio = usage.inputTokens / estimatedInputTokens
    // Nobody is that wrong: it is no count of this request.
    if (!(ratio >= 1 / mostWrong && ratio <= mostWrong)) return
    const key = keyOf(model)
    const step = this.#steps?.get(key) ?? 0
    const wanted = Math.min(largest, Math.max(smallest, Math.ceil(Math.log(ratio) / Math.log(base) - 1e-9)))
    if (wanted <= step && wanted >= step - 1) return
    this.#steps = (this.#steps ?? new Map()).set(key, wanted)
  }

  /** 1 as long as nothing is known. */
  factorOf(model: ModelName): number {
    return base ** (this.#steps?.get(keyOf(model)) ?? 0)
  }
}

type LearnedFrom = Pick<ReplyEntry, 'provider' | 'model' | 'usage' | 'estimatedInputTokens'>

/** Tokens of a request from which on it says something: in a shorter one, what a provider adds itself is most of it. */
export const leastTelling = 256

const base = 1.1
/** About a half, and about four. */
const smallest = -7
const largest = 14
const mostWrong = 8

const keyOf = ({ provider, model }: ModelName) => `${provider} ${model}`
