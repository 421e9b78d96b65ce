import type { Anthropic } from '@anthropic-ai/sdk'
import type { BatchClient } from '../client/batch-client.ts'
import { batchItem, batchOutcome, batchState } from './anthropic-messages/batch.ts'
import { Batches } from './batches.ts'
import type { Wire } from './wire.ts'

/**
 * Message Batches over Anthropic's SDK. At most 100 000 requests and 256 MB: Anthropic docs, "Batch processing", 2026-11.
 */
export function anthropicBatches(wire: Wire, sdk: () => Promise<Anthropic>): BatchClient {
  const { source } = wire
  return new Batches({
    wire,
    limits: { requests: 100_000, bytes: 256_000_000 },
    item: batchItem,
    stateOf: batchState,
    outcomeOf: (line) => batchOutcome(line, source),
    submit: (items, ask) =>
      ask(async (signal) =>
        (await sdk())
          .post('/v1/messages/batches', {
            // They are texts already: not its `batches.create`, which would write all of them a second time.
            body: `{"requests":[${items.join(',')}]}`,
            headers: { 'content-type': 'application/json' },
            signal,
          })
          .asResponse(),
      ),
    retrieve: async (id, signal) => (await sdk()).messages.batches.retrieve(id, {}, { signal }).asResponse(),
    cancel: async (id, signal) => (await sdk()).messages.batches.cancel(id, {}, { signal }).asResponse(),
    // Not its `batches.results`, which takes the key to whatever address the answer names, and ends at a line that is no JSON.
    results: async (id, signal) =>
      (await sdk())
        .get(`/v1/messages/batches/${encodeURIComponent(id)}/results`, {
          headers: { accept: 'application/binary' },
          signal,
        })
        .asResponse(),
  })
}
