import fc from 'fast-check'
import { describe, expect, test } from 'vitest'
import type { LLMChunk } from '../../src/client/client.ts'
import { collect, ResponseDraft, type ToolCallPiece } from '../../src/client/collect.ts'

const origin = { provider: 'p', model: 'm' }

function draft(): ResponseDraft {
  let count = 0
  const newCallId = () => {
    count += 1
    return `new_${count}`
  }
  return new ResponseDraft({ ...origin, newCallId })
}

function callsOf(...pieces: ToolCallPiece[]) {
  const building = draft()
  for (const piece of pieces) building.addToolCall(piece)
  return building.finish({ stopReason: 'tool_calls' }).toolCalls
}

const call = (id: string, toolName: string, parameters: object, invalid?: string) => ({
  id,
  toolName,
  parameters,
  ...(invalid !== undefined && { invalid }),
})

describe('collect', () => {
  test('gives the response at the end of a stream and leaves it there', async () => {
    const response = draft().finish({ stopReason: 'stop' })
    let left = false
    async function* chunks(): AsyncGenerator<LLMChunk> {
      try {
        yield { type: 'text', text: 'a' }
        yield { type: 'end', response }
        throw new Error('read past the end')
      } finally {
        left = true
      }
    }
    expect(await collect(origin, chunks())).toBe(response)
    expect(left).toBe(true)
  })

  test('refuses a stream without an end', async () => {
    async function* chunks(): AsyncGenerator<LLMChunk> {
      yield { type: 'text', text: 'half' }
    }
    await expect(collect(origin, chunks())).rejects.toMatchObject({
      kind: 'malformed',
      retryable: true,
      ...origin,
    })
  })
})

describe('a response draft', () => {
  test('hands on what was added, and holds all of it at the end', () => {
    const building = draft()
    expect([
      building.addReasoning('hm'),
      building.addText('Hel'),
      building.addText(''),
      building.addText('lo'),
      building.addToolCall({ index: 0, id: 'a', toolName: 'f', parameters: '' }),
      building.addToolCall({ index: 0, parameters: '{"x":' }),
      building.addToolCall({ index: 0, parameters: '1}' }),
    ]).toEqual([
      { type: 'reasoning', text: 'hm' },
      { type: 'text', text: 'Hel' },
      undefined,
      { type: 'text', text: 'lo' },
      { type: 'tool_call', index: 0, id: 'a', toolName: 'f' },
      { type: 'tool_call', index: 0, parametersText: '{"x":' },
      { type: 'tool_call', index: 0, parametersText: '1}' },
    ])
    const usage = { inputTokens: 1, outputTokens: 2 }
    expect(building.finish({ stopReason: 'tool_calls', usage, requestId: 'r' })).toEqual({
      text: 'Hello',
      toolCalls: [call('a', 'f', { x: 1 })],
      reasoning: [{ ...origin, text: 'hm' }],
      stopReason: 'tool_calls',
      usage,
      requestId: 'r',
    })
  })

  test('says nothing that was not there', () => {
    expect(draft().finish({ stopReason: 'stop' })).toEqual({ text: '', toolCalls: [], stopReason: 'stop' })
  })

  test.each([
    ['stop', true, 'tool_calls'],
    ['unknown', true, 'tool_calls'],
    ['tool_calls', false, 'unknown'],
    ['length', true, 'length'],
    ['content_filter', true, 'content_filter'],
    ['refusal', false, 'refusal'],
    ['stop', false, 'stop'],
  ] as const)('that ends in %s, with calls: %s, stopped for %s', (stopReason, hasCalls, expected) => {
    const building = draft()
    if (hasCalls) building.addToolCall({ id: 'a', toolName: 'f' })
    expect(building.finish({ stopReason }).stopReason).toBe(expected)
  })
})

describe('tool calls', () => {
  const two = [call('a', 'f', { x: 1 }), call('b', 'g', { y: 2 })]

  test.each<[string, ToolCallPiece[]]>([
    [
      'by index, interleaved',
      [
        { index: 0, id: 'a', toolName: 'f', parameters: '' },
        { index: 1, id: 'b', toolName: 'g', parameters: '' },
        { index: 0, parameters: '{"x"' },
        { index: 1, parameters: '{"y"' },
        { index: 0, parameters: ':1}' },
        { index: 1, parameters: ':2}' },
      ],
    ],
    [
      'by indexes that start anywhere',
      [
        { index: 7, id: 'a', toolName: 'f', parameters: '{"x":1}' },
        { index: 1e9, id: 'b', toolName: 'g', parameters: '{"y":2}' },
      ],
    ],
    [
      'by id, when indexes are no numbers',
      [
        { index: '__proto__', id: 'a', toolName: 'f', parameters: '{"x":' },
        { index: -1, id: 'b', toolName: 'g', parameters: '{"y":' },
        { index: Number.NaN, id: 'a', parameters: '1}' },
        { index: null, id: 'b', parameters: '2}' },
      ],
    ],
    [
      'by the order they arrive in',
      [
        { id: 'a', toolName: 'f', parameters: '{"x":' },
        { parameters: '1}' },
        { id: 'b', toolName: 'g', parameters: '{"y":' },
        { parameters: '2}' },
      ],
    ],
    [
      'that share an index and come whole',
      [
        { index: 0, id: 'a', toolName: 'f', parameters: '{"x":1}' },
        { index: 0, id: 'b', toolName: 'g', parameters: '{"y":2}' },
      ],
    ],
    [
      'whose name and id are repeated with each piece',
      [
        { index: 0, id: 'a', toolName: 'f', parameters: '{"x":' },
        { index: 0, id: 'a', toolName: 'f', parameters: '1}' },
        { index: 1, id: 'b', toolName: 'g', parameters: { y: 2 } },
      ],
    ],
    [
      'whose id changes with each piece',
      [
        { index: 0, id: 'a', toolName: 'f', parameters: '{"x":' },
        { index: 0, id: 'a2', parameters: '1' },
        { index: 0, id: 'a3', toolName: 'f', parameters: '}' },
        { index: 1, id: 'b', toolName: 'g', parameters: '{"y":2}' },
      ],
    ],
  ])('are told apart %s', (_, pieces) => {
    expect(callsOf(...pieces)).toEqual(two)
  })

  test('get an id where they have none, or one that another has', () => {
    expect(
      callsOf(
        { index: 0, id: 'same', toolName: 'f' },
        { index: 1, id: 'same', toolName: 'g' },
        { index: 2, id: '', toolName: 'h' },
        { index: 3, id: null, toolName: 'i', parameters: null },
      ),
    ).toEqual([call('same', 'f', {}), call('new_1', 'g', {}), call('new_2', 'h', {}), call('new_3', 'i', {})])
  })

  test('that are empty shells are none', () => {
    expect(callsOf({ id: null, toolName: '', parameters: '' }, { index: 0, id: '', toolName: '' })).toEqual(
      [],
    )
  })

  test.each([
    ['{"a":1', 'The parameters are not valid JSON. Received: {"a":1'],
    ["{'a':1}", "The parameters are not valid JSON. Received: {'a':1}"],
    ['{"a":1}{"a":2}', 'The parameters are not valid JSON. Received: {"a":1}{"a":2}'],
    ['null', 'The parameters must be a JSON object. Received: null'],
    ['[]', 'The parameters must be a JSON object. Received: []'],
    ['"{}"', 'The parameters must be a JSON object. Received: "{}"'],
    ['💥'.repeat(300), `The parameters are not valid JSON. Received: ${'💥'.repeat(200)}…`],
  ])('with the parameters %s are invalid and say why', (parameters, invalid) => {
    expect(callsOf({ id: 'a', toolName: 'f', parameters })).toEqual([call('a', 'f', {}, invalid)])
  })

  test('nested deeper than anyone means are invalid, and no stack overflows', () => {
    const deep = `{"a":${'['.repeat(100_000)}${']'.repeat(100_000)}}`
    const [only] = callsOf({ id: 'a', toolName: 'f', parameters: deep })
    expect(only?.parameters).toEqual({})
    expect(only?.invalid).toMatch(/^The parameters are nested more than 200 levels deep\. Received: \{"a":\[/)
  })

  test('keep keys of the prototype as plain keys', () => {
    const [only] = callsOf({
      id: '__proto__',
      toolName: 'constructor',
      parameters: '{"__proto__":{"polluted":1}}',
    })
    expect(only?.id).toBe('__proto__')
    expect(Object.keys(only?.parameters ?? {})).toEqual(['__proto__'])
    expect(({} as { polluted?: unknown }).polluted).toBeUndefined() // read to see that it is not there
  })

  test('are the same however their pieces are cut', () => {
    const calls = fc.array(
      fc.record({
        toolName: fc.stringMatching(/^[a-z]{1,8}$/),
        parameters: fc.dictionary(fc.string(), fc.jsonValue()) as fc.Arbitrary<Record<string, unknown>>,
      }),
      { minLength: 1, maxLength: 4 },
    )
    fc.assert(
      fc.property(
        calls,
        fc.boolean(),
        fc.infiniteStream(fc.integer({ min: 1, max: 9 })),
        (calls, hasIndex, sizes) => {
          const pieces = calls.flatMap(({ toolName, parameters }, index): ToolCallPiece[] => {
            const at = hasIndex ? { index } : {}
            const text = JSON.stringify(parameters)
            const cuts: ToolCallPiece[] = [{ ...at, id: `id_${index}`, toolName, parameters: '' }]
            for (let from = 0; from < text.length; ) {
              const size = Number(sizes.next().value)
              cuts.push({ ...at, parameters: text.slice(from, from + size) })
              from += size
            }
            return cuts
          })
          const expected = calls.map(({ toolName, parameters }, index) =>
            call(`id_${index}`, toolName, JSON.parse(JSON.stringify(parameters))),
          )
          expect(callsOf(...pieces)).toEqual(expected)
        },
      ),
      { numRuns: 200 },
    )
  })

  test('cost the same however often a wire changes its mind about ids', () => {
    const pieces = Array.from({ length: 20_000 }, (_, number) => ({
      index: 0,
      id: `id_${number}`,
      toolName: 'f',
      parameters: number === 0 ? '{"a":"' : '}}}}}}}}}}}}}}}}}}}}',
    }))
    // Parsed at every piece, this would be four thousand million characters.
    expect(callsOf(...pieces)).toHaveLength(1)
  })
})
