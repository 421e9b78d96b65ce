import { isTercetError, LLMError, messageOf, type TercetError, UnexpectedError } from './errors.ts'
import type { Scrubber } from './scrubber.ts'

/**
 * What a run failed with, as an error of this library in which no secret is left. An error in which there was none stays
 * the very object it was, with its cause; otherwise its class, code and fields stay, and the cause, which cannot be
 * cleaned, is dropped.
 */
export function scrubbedError(thrown: unknown, scrubber: Scrubber): TercetError {
  const error = isTercetError(thrown) ? thrown : new UnexpectedError(messageOf(thrown), { cause: thrown })
  if (scrubber.isEmpty || isClean(error, scrubber)) return error
  const message = scrubber.text(error.message)
  if (error instanceof LLMError) {
    const { kind, provider, model, status, retryAfterMs, retryable, requestId } = error
    return new LLMError(message, {
      kind,
      provider,
      model,
      retryable,
      ...(status !== undefined && { status }),
      ...(retryAfterMs !== undefined && { retryAfterMs }),
      ...(requestId !== undefined && { requestId: scrubber.text(requestId) }),
    })
  }
  const fields = Object.entries(Object.getOwnPropertyDescriptors(error)).filter(([key]) => !unclean.has(key))
  // The same class with the same fields, made anew because a stack holds the message it was made with.
  const clean = Object.create(Object.getPrototypeOf(error), Object.fromEntries(fields)) as TercetError
  for (const [key, value] of Object.entries(clean)) Object.assign(clean, { [key]: scrubber.value(value) })
  Object.defineProperty(clean, 'message', { value: message, configurable: true, writable: true })
  Object.defineProperty(clean, 'stack', {
    value: `${error.name}: ${message}`,
    configurable: true,
    writable: true,
  })
  return clean
}

const unclean: ReadonlySet<string> = new Set(['message', 'stack', 'cause', 'value', 'result', 'reason'])

const deepestCause = 10

function isClean(error: unknown, scrubber: Scrubber, depth = 0): boolean {
  if (depth > deepestCause) return false
  if (typeof error === 'string') return scrubber.text(error) === error
  if (typeof error !== 'object' || error === null) return true
  if (!(error instanceof Error)) return scrubber.value(error) === error
  const texts = [error.message, error.stack ?? '', error.name]
  if (texts.some((text) => typeof text === 'string' && scrubber.text(text) !== text)) return false
  const fields = Object.entries(error).filter(([key]) => key !== 'cause')
  return (
    fields.every(([, value]) => isClean(value, scrubber, depth + 1)) &&
    isClean(error.cause, scrubber, depth + 1)
  )
}
