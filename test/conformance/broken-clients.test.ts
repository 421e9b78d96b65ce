import { describe, expect, test } from 'vitest'
import {
  type CallOptions,
  type LLMChunk,
  type LLMClient,
  LLMError,
  type LLMRequest,
} from '../../src/index.ts'
import { OpenAIClient } from '../../src/providers/openai.ts'
import { type ClientCaseName, clientConformance } from '../../src/testing/index.ts'
import { apiKey, asking } from './subjects.ts'

type Stream = (request: LLMRequest, options?: CallOptions) => AsyncIterable<LLMChunk>

/** A client of OpenAI with one defect. */
interface Defect {
  readonly name: string
  /** Some case that finds it. */
  readonly found: ClientCaseName
  readonly client: (sound: OpenAIClient) => LLMClient
}

const streaming = (sound: OpenAIClient, stream: Stream): LLMClient => ({
  ...pieces(sound),
  call: (request, options) => sound.call(request, options),
  stream,
})

const pieces = (sound: OpenAIClient) => ({
  provider: sound.provider,
  model: sound.model,
  capabilities: sound.capabilities,
})

/** Each chunk of the sound client as something else. */
const changing = (change: (chunk: LLMChunk) => readonly LLMChunk[]) => (sound: OpenAIClient) =>
  streaming(sound, async function* (request, options) {
    for await (const chunk of sound.stream(request, options)) yield* change(chunk)
  })

const failing = (change: (error: LLMError) => unknown) => (sound: OpenAIClient) => ({
  ...streaming(sound, async function* (request, options) {
    try {
      yield* sound.stream(request, options)
    } catch (error) {
      throw error instanceof LLMError ? change(error) : error
    }
  }),
  call: (request: LLMRequest, options?: CallOptions) =>
    sound.call(request, options).catch((error: unknown) => {
      throw error instanceof LLMError ? change(error) : error
    }),
})

const detailsOf = ({ kind, provider, model, retryAfterMs, retryable }: LLMError) => ({
  kind,
  provider,
  model,
  retryable,
  ...(retryAfterMs !== undefined && { retryAfterMs }),
})

const defects: readonly Defect[] = [
  {
    name: 'asks before it is pulled',
    found: 'sends nothing before the first pull',
    client: (sound) =>
      streaming(sound, (request, options) => {
        const iterator = sound.stream(request, options)[Symbol.asyncIterator]()
        let first: Promise<IteratorResult<LLMChunk>> | undefined = iterator.next()
        first.catch(() => {})
        return {
          [Symbol.asyncIterator]: () => ({
            next: () => {
              const next = first ?? iterator.next()
              first = undefined
              return next
            },
          }),
        }
      }),
  },
  {
    name: 'tells its end twice',
    found: 'ends a stream with exactly one end, and stays ended',
    client: changing((chunk) => (chunk.type === 'end' ? [chunk, chunk] : [chunk])),
  },
  {
    name: 'loses a piece of text',
    found: 'reads text',
    client: changing((chunk) => (chunk.type === 'text' && chunk.text === ' ' ? [] : [chunk])),
  },
  {
    name: 'doubles what it is asked for',
    found: 'reads a tool call',
    client: changing((chunk) => (chunk.type === 'tool_call' ? [chunk, chunk] : [chunk])),
  },
  {
    name: 'streams other reasons to stop than it gives',
    found: 'reads a text that was cut as one',
    client: changing((chunk) =>
      chunk.type === 'end' ? [{ ...chunk, response: { ...chunk.response, stopReason: 'stop' } }] : [chunk],
    ),
  },
  {
    name: 'counts what nobody counted',
    found: 'says nothing of usage that was not reported',
    client: changing((chunk) =>
      chunk.type === 'end'
        ? [{ ...chunk, response: { usage: { inputTokens: 0, outputTokens: 0 }, ...chunk.response } }]
        : [chunk],
    ),
  },
  {
    name: 'ends as if all were said when it is aborted',
    found: 'ends at once when its signal aborts in the middle, and is no whole answer',
    client: (sound) =>
      streaming(sound, async function* (request, options) {
        try {
          yield* sound.stream(request, options)
        } catch (error) {
          if (!options?.signal?.aborted) throw error
          yield { type: 'end', response: { text: 'One', toolCalls: [], stopReason: 'stop' } }
        }
      }),
  },
  {
    name: 'leaves its listeners on the signal',
    found: 'is not changed by an abort after its end, and lets go of the signal',
    client: (sound) =>
      streaming(sound, (request, options) => {
        options?.signal?.addEventListener('abort', () => {})
        return sound.stream(request, options)
      }),
  },
  {
    name: 'takes what ended early for whole',
    found: 'takes no answer that ended early for a whole one',
    client: (sound) =>
      streaming(sound, async function* (request, options) {
        try {
          yield* sound.stream(request, options)
        } catch (error) {
          if (!(error instanceof LLMError) || error.kind !== 'malformed') throw error
          yield { type: 'end', response: { text: '', toolCalls: [], stopReason: 'stop' } }
        }
      }),
  },
  {
    name: 'throws errors of its own',
    found: 'tells failures by their kind, and whether to try again',
    client: failing((error) => new Error(error.message)),
  },
  {
    name: 'tries everything again',
    found: 'tells failures by their kind, and whether to try again',
    client: failing((error) => new LLMError(error.message, { ...detailsOf(error), retryable: true })),
  },
  {
    name: 'forgets how long to wait',
    found: 'says how long the provider asks to wait',
    client: failing(({ message, kind, provider, model }) => new LLMError(message, { kind, provider, model })),
  },
  {
    name: 'shows its key',
    found: 'shows no key in an error, also one that the provider repeats',
    client: failing((error) => new LLMError(`${error.message} (${apiKey})`, detailsOf(error))),
  },
  {
    name: 'shows its key in a cause',
    found: 'shows no key in an error, also one that the provider repeats',
    client: failing(
      (error) => new LLMError(error.message, { ...detailsOf(error), cause: { headers: { key: apiKey } } }),
    ),
  },
  {
    name: 'changes the request',
    found: 'leaves the request as it was, also a frozen one',
    client: (sound) =>
      streaming(sound, (request, options) => {
        Object.assign(request, { system: 'Mine.' })
        return sound.stream(request, options)
      }),
  },
  {
    name: 'mixes up two calls at once',
    found: 'answers two calls at once, each with its own answer',
    client: (sound) => {
      let last: ReturnType<OpenAIClient['call']> | undefined
      return {
        ...pieces(sound),
        call: async (request, options) => {
          last = sound.call(request, options)
          await Promise.resolve()
          return last
        },
      }
    },
  },
  {
    name: 'fails to close',
    found: 'closes, also twice',
    client: (sound) => ({
      ...pieces(sound),
      call: (request, options) => sound.call(request, options),
      close: () => Promise.reject(new Error('It is stuck.')),
    }),
  },
]

describe('the suite finds a client that', () => {
  test.each(defects)('$name', async ({ found, client }) => {
    const make = asking(({ url }, { chunking: _, ...patience }) =>
      client(new OpenAIClient({ apiKey, baseURL: url, ...patience })),
    )
    const sound = asking(
      ({ url }, { chunking: _, ...patience }) => new OpenAIClient({ apiKey, baseURL: url, ...patience }),
    )
    const caseOf = (subject: typeof make) => clientConformance(subject).find(({ name }) => name === found)
    await expect(caseOf(make)?.run()).rejects.toThrow()
    await expect(caseOf(sound)?.run()).resolves.toBeUndefined()
  })
})
