import type { ErrorSource } from '../errors.ts'
import type { ExchangeSettings } from '../exchange-options.ts'
import type { Wire } from '../wire.ts'
import type { CacheTtl } from './cache.ts'
import { type MessagesTarget, wireRequest } from './request.ts'
import { MessagesReader } from './response.ts'

export interface MessagesOptions
  extends ExchangeSettings,
    Omit<MessagesTarget, 'provider' | 'model' | 'written'> {
  /** How long the prompt of a conversation is kept where `cacheTtl` says nothing; absent: not at all. */
  readonly conversationTtl?: CacheTtl | undefined
  readonly source: ErrorSource
  readonly send: Wire['send']
}

/** The Messages API as a wire: what is left to say is to whom, with which quirks, and how to send it. */
export function anthropicMessages({
  source,
  runtime,
  firstContentMs,
  idleMs,
  send,
  conversationTtl,
  ...rest
}: MessagesOptions): Wire {
  const { provider, model } = source
  const target: MessagesTarget = { ...rest, provider, model, written: new WeakMap() }
  const inConversation = { ...target, cacheTtl: target.cacheTtl ?? conversationTtl }
  const newCallId = () => `toolu_${runtime.id().replaceAll('-', '')}`
  return {
    source,
    runtime,
    firstContentMs,
    idleMs,
    send,
    encode: (request, mode, { warn, conversationId }) =>
      wireRequest(request, conversationId === undefined ? target : inConversation, mode === 'stream', warn),
    reader: (requestId) => new MessagesReader({ ...source, requestId, newCallId }),
  }
}
