import { isTercetError, LLMError, type LLMErrorKind, messageOf, type TercetError } from '../errors.ts'

/**
 * Whatever a client threw, as an error of this library. One that is one already stays itself; anything else becomes an
 * `LLMError`, its kind read from a numeric `status` if it has one. After `signal` aborted, all of them are `aborted`,
 * with the signal's reason as their cause.
 */
export function clientError(
  thrown: unknown,
  { provider, model }: { readonly provider: string; readonly model: string },
  signal?: AbortSignal,
): TercetError {
  if (signal?.aborted) {
    if (isAborted(thrown)) return thrown
    return new LLMError('The model call was aborted.', {
      kind: 'aborted',
      provider,
      model,
      cause: signal.reason,
    })
  }
  if (isTercetError(thrown)) return thrown
  const status = statusOf(thrown)
  return new LLMError(messageOf(thrown), {
    kind: status === undefined ? 'unknown' : kindOf(status),
    provider,
    model,
    ...(status !== undefined && { status }),
    cause: thrown,
  })
}

/** True for an `LLMError`, also one from another copy of the package. */
export function isLLMError(value: unknown): value is LLMError {
  return isTercetError(value) && value.code === 'llm'
}

function isAborted(thrown: unknown): thrown is LLMError {
  return isLLMError(thrown) && thrown.kind === 'aborted'
}

function statusOf(thrown: unknown): number | undefined {
  if (typeof thrown !== 'object' || thrown === null) return undefined
  try {
    const { status } = thrown as { status?: unknown } // only read, and only used when it is a number
    return typeof status === 'number' && Number.isFinite(status) ? status : undefined
  } catch {
    return undefined
  }
}

function kindOf(status: number): LLMErrorKind {
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
    case 429:
      return 'rate_limit'
  }
  if (status >= 500 && status < 600) return 'overloaded'
  return status >= 400 && status < 500 ? 'invalid_request' : 'unknown'
}

/** Kinds of failures that come before a model has read anything: nothing was used, and nothing is billed. */
export const unreadKinds: ReadonlySet<LLMErrorKind> = new Set<LLMErrorKind>([
  'auth',
  'quota',
  'rate_limit',
  'overloaded',
  'context_length',
  'invalid_request',
  'not_found',
])
