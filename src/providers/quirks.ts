import { flag, integer, object, oneOf, optional } from '../options.ts'

/** What servers that speak Chat Completions do differently. */
export interface Quirks {
  /** Where the limit of the answer goes. Default: `max_completion_tokens` at OpenAI itself, else `max_tokens`. */
  readonly maxTokensField: 'max_completion_tokens' | 'max_tokens'
  /** Whether a stream is asked to report its usage (`stream_options`). Default: true. */
  readonly streamUsage: boolean
  /** Characters a tool call id may have; longer ones, and those with odd characters, are replaced. Default: 40. */
  readonly maxToolCallIdLength: number
}

export const openAIQuirks: Quirks = {
  maxTokensField: 'max_completion_tokens',
  streamUsage: true,
  maxToolCallIdLength: 40,
}

/** Ollama, llama.cpp, vLLM, LM Studio and whatever else is behind a base URL that is not OpenAI's. */
export const compatibleQuirks: Quirks = { ...openAIQuirks, maxTokensField: 'max_tokens' }

export const quirksCheck = object({
  maxTokensField: optional(oneOf('max_completion_tokens', 'max_tokens')),
  streamUsage: optional(flag()),
  maxToolCallIdLength: optional(integer(9)),
})
