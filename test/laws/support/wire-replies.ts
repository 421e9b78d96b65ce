import fc from 'fast-check'
import type { JsonObject } from '../../../src/json.ts'
import type {
  Dialect,
  Pieces,
  StrictReply,
  StrictToolCall,
  StrictUsage,
  WireContext,
} from '../../../src/testing/strict-contract.ts'
import { anyText } from './turns.ts'

const parameters: fc.Arbitrary<JsonObject> = fc.oneof(
  { weight: 3, arbitrary: fc.record({ n: fc.nat(9), text: fc.string({ unit: 'grapheme', maxLength: 12 }) }) },
  { weight: 1, arbitrary: fc.constantFrom<JsonObject>({}, { deep: [[{ a: null }], 1e21, '"\\'] }) },
  {
    weight: 1,
    arbitrary: fc.constant(JSON.parse('{"__proto__":{"n":1},"constructor":"東京 👍🏽"}') as JsonObject),
  },
)

const toolCall: fc.Arbitrary<StrictToolCall> = fc
  .record({
    id: fc.option(fc.uuid(), { nil: undefined }),
    toolName: fc.constantFrom('add', 'look_up', 'plan'),
    parameters,
  })
  .map(({ id, ...call }) => ({ ...call, ...(id !== undefined && { id }) }))

const usage: fc.Arbitrary<StrictUsage | 'absent' | undefined> = fc.oneof(
  fc.constant(undefined),
  fc.constant('absent' as const),
  fc.record({
    inputTokens: fc.integer({ min: 50, max: 500 }),
    outputTokens: fc.integer({ min: 20, max: 99 }),
    cachedInputTokens: fc.nat(50),
    reasoningTokens: fc.nat(20),
  }),
)

/** What some models write where their wire gives them room for any text. */
export const brokenParameters: fc.Arbitrary<string> = fc.constantFrom(
  '{"n":1,"text":"cut in the mid',
  'n is 1',
  '[1]',
  '"n"',
  '',
  ' {"n":1} ',
  '{"n":1}{"n":2}',
  '{"half":"\\ud83d"}',
)

/** What a model says. */
export const wireReply: fc.Arbitrary<StrictReply> = fc
  .record({
    text: fc.option(anyText, { nil: undefined, freq: 5 }),
    reasoning: fc.option(anyText, { nil: undefined, freq: 2 }),
    isRefusal: fc.nat(7).map((n) => n === 0),
    toolCalls: fc.array(toolCall, { maxLength: 3 }),
    stop: fc.constantFrom<StrictReply['stop']>(undefined, undefined, undefined, 'length', 'content_filter'),
    usage,
  })
  .map(({ text, reasoning, isRefusal, toolCalls, stop, usage: reported }) => ({
    ...(text !== undefined && { [isRefusal ? 'refusal' : 'text']: text }),
    ...(reasoning !== undefined && { reasoning }),
    ...(toolCalls.length > 0 && { toolCalls }),
    ...(stop !== undefined && { stop }),
    ...(reported !== undefined && { usage: reported }),
  }))

/** How its words are parted into events. */
export const pieces: fc.Arbitrary<Pieces> = fc.constantFrom<Pieces>('word', 'codepoint', 5)

/** Where the bytes of an answer are parted on their way. */
export type Cut =
  | { readonly by: 'nowhere' | 'characters' }
  | { readonly by: 'size'; readonly size: number }
  /** As fractions of all the bytes. */
  | { readonly by: 'places'; readonly places: readonly number[] }

export const cut: fc.Arbitrary<Cut> = fc.oneof(
  fc.constant<Cut>({ by: 'characters' }),
  fc.record({ by: fc.constant('size' as const), size: fc.integer({ min: 1, max: 9 }) }),
  fc.record({
    by: fc.constant('places' as const),
    places: fc.array(fc.double({ min: 0, max: 1, noNaN: true }), { minLength: 1, maxLength: 30 }),
  }),
)

/** How an answer travels. */
export interface Journey {
  readonly cut: Cut
  /** Between the lines of an event stream. */
  readonly newline: '\n' | '\r\n' | '\r'
}

export const journey: fc.Arbitrary<Journey> = fc.record({
  cut,
  newline: fc.constantFrom('\n', '\n', '\r\n', '\r'),
})

export const straight: Journey = { cut: { by: 'nowhere' }, newline: '\n' }

/** The answer of a server to a request: events if they are asked for, and else a body. */
export function wireResponse(
  dialect: Dialect,
  reply: StrictReply,
  context: WireContext,
  { cut: by, newline }: Journey,
): Response {
  const isStream = context.request['stream'] === true
  const text = isStream
    ? [...dialect.events(reply, context)].map((event) => event.text.replaceAll('\n', newline)).join('')
    : JSON.stringify(dialect.body(reply, context))
  return new Response(bodyOf(new TextEncoder().encode(text), by), {
    headers: {
      'content-type': isStream ? 'text/event-stream' : 'application/json',
      [dialect.requestIdHeader]: `req_${context.replyNumber}`,
    },
  })
}

/** A body whose reader gets the bytes in exactly these pieces. */
export function bodyOf(bytes: Uint8Array, by: Cut): ReadableStream<Uint8Array> {
  const places = [...new Set([...placesOf(bytes, by), bytes.length])].toSorted((a, b) => a - b)
  let from = 0
  return new ReadableStream<Uint8Array>({
    pull(controller) {
      const to = places.shift()
      if (to === undefined) return controller.close()
      if (to > from) controller.enqueue(bytes.slice(from, to))
      else controller.enqueue(new Uint8Array())
      from = to
    },
  })
}

function placesOf(bytes: Uint8Array, by: Cut): readonly number[] {
  switch (by.by) {
    case 'nowhere':
      return []
    // In front of each byte that goes on with a character.
    case 'characters':
      return [...bytes.keys()].filter((at) => ((bytes[at] ?? 0) & 0xc0) === 0x80)
    case 'size': {
      // Not into more pieces than a test has time for.
      const size = Math.max(by.size, Math.ceil(bytes.length / 3_000))
      return [...bytes.keys()].filter((at) => at % size === 0)
    }
    case 'places':
      return by.places.map((fraction) => Math.floor(fraction * bytes.length))
  }
}
