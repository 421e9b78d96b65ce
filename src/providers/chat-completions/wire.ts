import type { ErrorSource } from '../errors.ts'
import type { ExchangeSettings } from '../exchange-options.ts'
import type { Quirks } from '../quirks.ts'
import type { Wire } from '../wire.ts'
import { hashOf } from '../wire-text.ts'
import { type RequestTarget, wireRequest } from './request.ts'
import { CompletionReader } from './response.ts'

export interface ChatCompletionsOptions extends ExchangeSettings {
  readonly source: ErrorSource
  readonly quirks: Quirks
  readonly send: Wire['send']
}

/** Chat Completions as a wire: what is left to say is to whom, with which quirks, and how to send it. */
export function chatCompletions({ quirks, ...rest }: ChatCompletionsOptions): Wire {
  const { source, runtime } = rest
  const { provider, model } = source
  const target: RequestTarget = { provider, model, quirks, written: new WeakMap() }
  const newCallId = () => `call_${runtime.id().replaceAll('-', '')}`
  return {
    ...rest,
    encode: (request, mode, { conversationId }) => ({
      // First, so that a key of the caller's own takes its place. OpenAI's guide "Prompt caching", 2026-11: requests of one key
      // go where their beginning is kept.
      ...(quirks.cacheKey && conversationId !== undefined && { prompt_cache_key: hashOf(conversationId) }),
      ...wireRequest(request, target, mode === 'stream'),
    }),
    reader: (requestId) => new CompletionReader({ ...source, quirks, requestId, newCallId }),
  }
}
