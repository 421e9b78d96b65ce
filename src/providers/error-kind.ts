import type { LLMErrorKind } from '../errors.ts'

/** What a provider says of a failure. */
export interface WireError {
  /** In the provider's own words; empty if it has none. */
  readonly message: string
  readonly type: string
  readonly code: string
}

/** What went wrong, by code and type, else by words where there are no codes, else by status. */
export function kindOf({ message, type, code }: WireError, status: number | undefined): LLMErrorKind {
  const named = kindsByWord.get(code) ?? kindsByWord.get(type)
  // Groq says so of a request that is larger than all that a minute may have: it never fits.
  if (status === 413 && named === 'rate_limit') return 'context_length'
  const words = message.slice(0, 2000).toLowerCase()
  // Anthropic has the same type for what waiting cures and for what it does not.
  if (named === 'rate_limit' && words.includes('credit limit')) return 'quota'
  if (named !== undefined && named !== 'invalid_request' && named !== 'overloaded') return named
  const isRefusal =
    status === undefined || status === 400 || status === 413 || status === 422 || status === 500
  const said = isRefusal ? kindsBySaying.find(([saying]) => words.includes(saying)) : undefined
  if (said !== undefined) return said[1]
  if (status === undefined) return named ?? 'overloaded'
  return kindOfStatus(status)
}

// Codes and types by which OpenAI (guide "Error codes", 2026-11), Anthropic ("Errors", 2026-11) and servers compatible with
// them say what went wrong.
const kindsByWord: ReadonlyMap<string, LLMErrorKind> = new Map<string, LLMErrorKind>([
  ['insufficient_quota', 'quota'],
  ['billing_hard_limit_reached', 'quota'],
  ['billing_not_active', 'quota'],
  ['billing_error', 'quota'],
  ['context_length_exceeded', 'context_length'],
  ['exceed_context_size_error', 'context_length'],
  ['request_too_large', 'context_length'],
  ['content_filter', 'content_filter'],
  ['content_policy_violation', 'content_filter'],
  ['rate_limit_exceeded', 'rate_limit'],
  ['rate_limit_error', 'rate_limit'],
  ['requests', 'rate_limit'],
  ['tokens', 'rate_limit'],
  // Of tokens that wait in batches, until some of these are done.
  ['token_limit_exceeded', 'rate_limit'],
  ['invalid_api_key', 'auth'],
  ['authentication_error', 'auth'],
  ['permission_error', 'auth'],
  ['model_not_found', 'not_found'],
  ['not_found_error', 'not_found'],
  // The model's own tool call was refused before it was sent: another sample may do better.
  ['tool_use_failed', 'malformed'],
  ['timeout', 'timeout'],
  ['timeout_error', 'timeout'],
  ['overloaded_error', 'overloaded'],
  ['server_error', 'overloaded'],
  ['internal_server_error', 'overloaded'],
  ['api_error', 'overloaded'],
  ['service_unavailable', 'overloaded'],
  ['invalid_request_error', 'invalid_request'],
])

// Words where there is no code for it (Anthropic, vLLM, LM Studio, gateways); read only where the status fits.
const kindsBySaying: readonly (readonly [words: string, kind: LLMErrorKind])[] = [
  ['context length', 'context_length'],
  ['context window', 'context_length'],
  ['context size', 'context_length'],
  ['maximum context', 'context_length'],
  ['prompt is too long', 'context_length'],
  ['exceed context limit', 'context_length'],
  ['credit balance is too low', 'quota'],
  ['api usage limits', 'quota'],
  ['content filtering policy', 'content_filter'],
]

function kindOfStatus(status: number): LLMErrorKind {
  switch (status) {
    case 401:
    case 403:
      return 'auth'
    case 402:
      return 'quota'
    case 404:
      return 'not_found'
    case 408:
      return 'timeout'
    case 409:
      return 'overloaded'
    case 429:
      return 'rate_limit'
  }
  return status >= 500 ? 'overloaded' : 'invalid_request'
}
