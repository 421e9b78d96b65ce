import { flag, integer, object, oneOf, optional } from '../options.ts'

/** What servers that speak Chat Completions do differently. */
export interface Quirks {
  /** Where the limit of the answer goes. Default: `max_completion_tokens` at OpenAI itself, else `max_tokens`. */
  readonly maxTokensField: 'max_completion_tokens' | 'max_tokens'
  /** Default: `seed`. */
  readonly seedField: 'seed' | 'random_seed'
  /** Whether a stream is asked to report its usage (`stream_options`). Default: true. */
  readonly streamUsage: boolean
  /** Whether usage is asked for, and read, with what it cost in USD (`usage.cost`). Default: false. */
  readonly usageCost: boolean
  /**
   * Whether a request names the conversation it belongs to (`prompt_cache_key`, a hash), so that the provider finds again what
   * it keeps of it. Default: true at OpenAI itself; others refuse it.
   */
  readonly cacheKey: boolean
  /** Characters a tool call id may have; longer ones, and those with odd characters, are replaced. Default: 40. */
  readonly maxToolCallIdLength: number
  /** Whether a tool call id must have exactly that many characters, all of them letters and digits. Default: false. */
  readonly exactToolCallIds: boolean
  /** Whether a user message may hold files. Default: true. */
  readonly files: boolean
  /**
   * The field in which the same provider and model is given its own reasoning back. Default: `none`, for most servers
   * refuse it or do without.
   */
  readonly reasoningReplay: 'none' | 'reasoning' | 'reasoning_content' | 'reasoning_details'
}

export const openAIQuirks: Quirks = {
  maxTokensField: 'max_completion_tokens',
  seedField: 'seed',
  streamUsage: true,
  usageCost: false,
  cacheKey: true,
  maxToolCallIdLength: 40,
  exactToolCallIds: false,
  files: true,
  reasoningReplay: 'none',
}

/** Whatever is behind a base URL that is not OpenAI's. */
export const compatibleQuirks: Quirks = { ...openAIQuirks, maxTokensField: 'max_tokens', cacheKey: false }

export const quirksCheck = object({
  maxTokensField: optional(oneOf('max_completion_tokens', 'max_tokens')),
  seedField: optional(oneOf('seed', 'random_seed')),
  streamUsage: optional(flag()),
  usageCost: optional(flag()),
  cacheKey: optional(flag()),
  maxToolCallIdLength: optional(integer(9)),
  exactToolCallIds: optional(flag()),
  files: optional(flag()),
  reasoningReplay: optional(oneOf('none', 'reasoning', 'reasoning_content', 'reasoning_details')),
})
