import type { LLMClient } from '../../client/client.ts'
import type { LLMErrorKind } from '../../errors.ts'
import { LLMError } from '../../errors.ts'
import { type Check, either, filledText, integer, number, object, optional } from '../../options.ts'
import { type RecordedError, writeError } from './recorded-error.ts'
import type { Pause, RecordedChunk, RecordedReply } from './recording.ts'

/** How one model call of a replay goes otherwise than it was recorded. The first call, and the first chunk, is 1. */
export type Mutation = {
  readonly call: number
} & (
  | { readonly fails: LLMErrorKind; readonly retryAfterMs?: number }
  /** This chunk is lost on the way. */
  | { readonly dropChunk: number }
  /** After so many chunks nothing more is said, until the call is stopped. */
  | { readonly stallAfter: number }
)

const call = integer(1)

export const mutationCheck: Check = either(
  object({ call, fails: filledText(), retryAfterMs: optional(number(0)) }),
  object({ call, dropChunk: integer(1) }),
  object({ call, stallAfter: integer(0) }),
)

/** A reply as it is played. */
export interface Performance {
  readonly chunks: readonly RecordedChunk[]
  /** What comes after the chunks: nothing, an error, or silence until the call is stopped. */
  readonly ending: 'over' | 'silent' | (RecordedError & Pause)
}

export function performanceOf({ chunks, error }: RecordedReply): Performance {
  return { chunks, ending: error ?? (chunks.at(-1)?.type === 'end' ? 'over' : 'silent') }
}

export function mutated(
  { chunks, ending }: Performance,
  mutation: Mutation,
  { provider, model }: Pick<LLMClient, 'provider' | 'model'>,
): Performance {
  if ('stallAfter' in mutation) return { chunks: chunks.slice(0, mutation.stallAfter), ending: 'silent' }
  if ('dropChunk' in mutation) {
    return { chunks: chunks.filter((_, index) => index !== mutation.dropChunk - 1), ending }
  }
  const { fails: kind, retryAfterMs } = mutation
  const error = new LLMError(`mutated: ${kind}`, {
    kind,
    provider,
    model,
    ...(retryAfterMs !== undefined && { retryAfterMs }),
  })
  return { chunks: [], ending: writeError(error) }
}
