import type { OpenAI } from 'openai'
import type { BatchClient } from '../client/batch-client.ts'
import { Batches } from './batches.ts'
import { batchItem, batchOutcome, batchState, endpoint } from './chat-completions/batch.ts'
import { malformedError } from './errors.ts'
import type { Wire } from './wire.ts'

/**
 * Batches over OpenAI's SDK: a file of requests, and files of results. At most 50 000 requests and 200 MB: OpenAI API
 * reference, "Create batch", 2026-11.
 */
export function openAIBatches(wire: Wire, sdk: () => Promise<OpenAI>): BatchClient {
  const { source } = wire
  return new Batches({
    wire,
    limits: { requests: 50_000, bytes: 200_000_000 },
    item: batchItem,
    stateOf: (batch) => batchState(batch, source),
    outcomeOf: (line) => batchOutcome(line, source),
    submit: async (items, ask) => {
      const lines = items.map((item) => `${item}\n`)
      // By itself it is deleted after 30 days.
      const file = new File(lines, 'requests.jsonl', { type: 'application/jsonl' })
      const { id } = await ask(async (signal) =>
        (await sdk()).files.create({ file, purpose: 'batch' }, { signal }).asResponse(),
      )
      if (typeof id !== 'string' || id === '') throw malformedError('a file that has no id', source)
      return ask(async (signal) =>
        (await sdk()).batches
          .create({ input_file_id: id, endpoint, completion_window: '24h' }, { signal })
          .asResponse(),
      )
    },
    retrieve: async (id, signal) => (await sdk()).batches.retrieve(id, { signal }).asResponse(),
    cancel: async (id, signal) => (await sdk()).batches.cancel(id, { signal }).asResponse(),
    results: async (file, signal) => (await sdk()).files.content(file, { signal }).asResponse(),
  })
}
