import { isLLMError } from '../../client/thrown.ts'
import {
  type ErrorCode,
  FatalToolError,
  isTercetError,
  LLMError,
  type LLMErrorDetails,
  messageOf,
  TercetError,
} from '../../errors.ts'

/** An error as JSON: what can be told of it, without stack and cause. */
export interface RecordedError extends Partial<Omit<LLMErrorDetails, 'cause'>> {
  readonly message: string
  /** Absent: it was no error of this library. */
  readonly code?: ErrorCode
}

export function writeError(thrown: unknown): RecordedError {
  if (thrown === undefined || thrown === null) return { message: '' }
  const message = messageOf(thrown)
  if (isLLMError(thrown)) {
    const { code, kind, provider, model, status, retryAfterMs, retryable, requestId } = thrown
    return {
      code,
      kind,
      message,
      provider,
      model,
      retryable,
      ...(status !== undefined && { status }),
      ...(retryAfterMs !== undefined && { retryAfterMs }),
      ...(requestId !== undefined && { requestId }),
    }
  }
  if (isTercetError(thrown)) return { code: thrown.code, message }
  const status: unknown = typeof thrown === 'object' && thrown !== null && Reflect.get(thrown, 'status')
  // By its status an agent knows of what kind a foreign error is.
  return { message, ...(typeof status === 'number' && { status }) }
}

/** The error again: an `LLMError` as it was, any other of this library by its code and message; nothing, if it was nothing. */
export function readError({ code, message, kind, provider, model, ...details }: RecordedError): unknown {
  if (code === undefined && message === '') return undefined
  if (kind !== undefined && provider !== undefined && model !== undefined) {
    return new LLMError(message, { ...details, kind, provider, model })
  }
  if (code === 'fatal_tool') return new FatalToolError(message)
  if (code !== undefined) return new RemadeError(code, message)
  return Object.assign(new Error(message), details)
}

/** An error of this library of which only code and message are known. */
export class RemadeError extends TercetError {
  readonly code: ErrorCode

  constructor(code: ErrorCode, message: string) {
    super(message)
    this.code = code
  }
}
