import { flag, object, oneOf, optional } from '../../options.ts'

/** What models and servers that speak the Messages API do differently. */
export interface MessagesQuirks {
  /**
   * Whether system messages may come in the middle of a conversation. Where they may not, they are told as the user's,
   * marked as what they are. Default: by model and API version at Anthropic itself, else false.
   */
  readonly systemMessages: boolean
  /**
   * How a `reasoningEffort` is asked for: by its own setting, by a number of tokens to think, or not at all. Default: by
   * model at Anthropic itself, else `'none'`.
   */
  readonly effort: 'effort' | 'budget' | 'none'
}

export const messagesQuirksCheck = object({
  systemMessages: optional(flag()),
  effort: optional(oneOf('effort', 'budget', 'none')),
})

export interface ModelFacts extends MessagesQuirks {
  readonly structuredOutput: boolean
  readonly contextWindow?: number
  /** What is asked for where nothing else is said: not always all that the model can. */
  readonly maxOutputTokens?: number
}

/** What is known of one of Anthropic's own models, by its name. */
export function factsOf(model: string): ModelFacts {
  return facts.find(([start]) => model.startsWith(start))?.[1] ?? unknownServer
}

/** A server of which nothing is known but the API it speaks. */
export const unknownServer: ModelFacts = { systemMessages: false, effort: 'none', structuredOutput: false }

// The longest answers are so long that whoever wants one should say so: their room is taken from the conversation's.
const longAnswer = 32_000

const claude3: ModelFacts = { ...unknownServer, contextWindow: 200_000, maxOutputTokens: 4096 }
const claude4: ModelFacts = { ...claude3, effort: 'budget', maxOutputTokens: longAnswer }
const claude45: ModelFacts = { ...claude4, structuredOutput: true }
const claude46: ModelFacts = { ...claude45, effort: 'effort', contextWindow: 1_000_000 }
const current: ModelFacts = { ...claude46, systemMessages: true }

// By the start of a model's name, the first that fits: Anthropic's model pages, 2026-11.
const facts: readonly (readonly [start: string, facts: ModelFacts])[] = [
  ['claude-3-7', claude4],
  ['claude-3-5', { ...claude3, maxOutputTokens: 8192 }],
  ['claude-3', claude3],
  ['claude-opus-4-1', claude45],
  ['claude-opus-4-5', { ...claude45, effort: 'effort' }],
  ['claude-sonnet-4-5', claude45],
  ['claude-haiku-4-5', claude45],
  ['claude-opus-4-6', claude46],
  ['claude-opus-4-7', claude46],
  ['claude-sonnet-4-6', claude46],
  ['claude-mythos-preview', claude46],
  ['claude-opus-4-8', current],
  ['claude-opus-4', claude4],
  ['claude-sonnet-4', claude4],
  ['claude-', current],
]
