import fc from 'fast-check'
import { describe, expect, it } from 'vitest'
import { parseReply } from '../../src/protocol/json-reply.ts'
import { EnvelopeStream, type StreamedText } from '../../src/protocol/json-stream.ts'

type Channel = StreamedText['channel']

function stream(pieces: readonly string[]): { before: StreamedText[]; after: readonly StreamedText[] } {
  const envelope = new EnvelopeStream()
  return { before: pieces.flatMap((piece) => envelope.push(piece)), after: envelope.end() }
}

function textOf(channel: Channel, texts: readonly StreamedText[]): string {
  return texts.map((text) => (text.channel === channel ? text.text : '')).join('')
}

function splitAt(text: string, cuts: readonly number[]): string[] {
  const places = [...new Set(cuts.map((cut) => cut % (text.length + 1)))].sort((a, b) => a - b)
  return [0, ...places].map((place, index) => text.slice(place, places[index] ?? text.length))
}

/** UTF-8 knows no half pairs: they come back as U+FFFD. */
const wellFormed = (text: string) =>
  new TextDecoder('utf-8', { ignoreBOM: true }).decode(new TextEncoder().encode(text))

const fence = (body: string, label = 'json') => `\`\`\`${label}\n${body}\n\`\`\``

describe('an envelope, one code unit at a time', () => {
  it.each<[name: string, reply: string, expected: Partial<Record<Channel, string>>]>([
    [
      'an answer',
      '```json\n{"final_answer": "Rain\\n\\"here\\" \\u00e9 \\ud83d\\ude00 😀"}\n```',
      { answer: 'Rain\n"here" é 😀 😀' },
    ],
    [
      'a thought',
      '{"tool_thought":"I look.","tool_calls":[{"tool_name":"a","parameters":{"final_answer":"no"}}]}',
      { thought: 'I look.' },
    ],
    ['a plan and an answer', '{"plan":"p"}{"final_answer":"F"}', { plan: 'p', answer: 'F' }],
    ['a plan as a list', '{"plan": ["a", "b"]}', { plan: 'a\nb' }],
    [
      'an answer that is an object',
      '{"final_answer": {"x": [1, "\\n"] , "y": null} , "plan": 3}',
      { answer: '{"x": [1, "\\n"] , "y": null}', plan: '3' },
    ],
    ['an answer that is a number', '{"final_answer": 42.50}', { answer: '42.50' }],
    ['an answer that is null', '{"final_answer": null}', {}],
    ['an answer within prose', 'Well, {"a": 1} then {"final_answer": "F"} and "more"', { answer: 'F' }],
    [
      'an answer before tool calls',
      '{"final_answer": "F", "tool_calls": [{"tool_name": "a"}]}',
      { answer: 'F' },
    ],
    ['half a pair', '{"final_answer": "a\\ud83d"}', { answer: 'a\ufffd' }],
    ['two answers', '{"final_answer": "F"}{"final_answer": "G"}', { answer: 'F' }],
  ])('tells %s before it ends', (_name, reply, expected) => {
    const { before, after } = stream([...Array(reply.length).keys()].map((index) => reply.charAt(index)))
    const told = (channel: Channel) => textOf(channel, before)
    expect({ answer: told('answer'), thought: told('thought'), plan: told('plan') }).toEqual({
      ...{ answer: '', thought: '', plan: '' },
      ...expected,
    })
    expect(after).toEqual([])
  })

  it('tells each part of an answer as soon as it is certain', () => {
    const envelope = new EnvelopeStream()
    const pieces = ['{"final_', 'answer": "It ', 'is\\', 'n', '\\ud83d', '\\ude0', '0.', '" ', '}']
    expect(pieces.map((piece) => textOf('answer', envelope.push(piece)))).toEqual([
      '',
      'It ',
      'is',
      '\n',
      '',
      '',
      '😀.',
      '',
      '',
    ])
  })

  it('joins what one push tells on one channel', () => {
    expect(new EnvelopeStream().push('{"plan":"a\\nb","final_answer":"c\\nd"}')).toEqual([
      { channel: 'plan', text: 'a\nb' },
      { channel: 'answer', text: 'c\nd' },
    ])
  })

  it('returns one shared array when there is nothing to tell', () => {
    const envelope = new EnvelopeStream()
    const first = envelope.push('{"tool_calls"')
    expect(first).toEqual([])
    expect(envelope.push(': [')).toBe(first)
    expect(new EnvelopeStream().push('')).toBe(first)
  })
})

describe('a reply that is known only at its end', () => {
  it.each<[name: string, reply: string, answer: string]>([
    ['prose', ' Hello, {"name"}! ', 'Hello, {"name"}!'],
    ['a JSON string', '"Hello"', 'Hello'],
    ['a number', '42', '42'],
    ['a repaired envelope', "{'final_answer': 'F'}", 'F'],
    ['a lone object', '{"a": 1}', ''],
    ['a cut object', '{"a": "b', ''],
    ['nothing', '', ''],
  ])('%s', (_name, reply, answer) => {
    const { before, after } = stream([...reply])
    expect(before).toEqual([])
    expect(after).toEqual(answer === '' ? [] : [{ channel: 'answer', text: answer }])
  })

  it('gets the rest of an answer that had to be repaired', () => {
    expect(stream(['{"final_answer": "He said "hi" to me"}'])).toEqual({
      before: [{ channel: 'answer', text: 'He said ' }],
      after: [{ channel: 'answer', text: '"hi" to me' }],
    })
  })

  it('gets nothing more of an answer that was cut', () => {
    expect(stream(['```json\n{"final_answer": "ab', 'c'])).toEqual({
      before: [
        { channel: 'answer', text: 'ab' },
        { channel: 'answer', text: 'c' },
      ],
      after: [],
    })
  })
})

describe('every reply, split anywhere,', () => {
  const text = fc.oneof(
    fc.string({ unit: 'binary', maxLength: 12 }),
    fc
      .array(
        fc.constantFrom('\n', '"', '\\', '😀', '\ud83d', '{', '}', '```json\n', '{"final_answer":"x"}', ' a'),
        { maxLength: 6 },
      )
      .map((parts) => parts.join('')),
  )
  const json = fc.oneof(text, fc.jsonValue({ maxDepth: 2 }))
  const asJson = (value: unknown, style: number) =>
    style === 0
      ? JSON.stringify(value)
      : style === 1
        ? JSON.stringify(value, null, 2)
        : JSON.stringify(value).replace(
            /[\u0080-\uffff]/g,
            (unit) => `\\u${unit.charCodeAt(0).toString(16).padStart(4, '0')}`,
          )
  const call = fc.record({
    id: fc.string(),
    tool_name: fc.constant('a'),
    parameters: fc.dictionary(fc.string(), json),
  })
  const envelope = fc
    .tuple(
      fc.oneof(
        fc.record({ final_answer: json }),
        fc.record({ plan: json, final_answer: text }),
        fc.record({ plan: fc.oneof(text, fc.array(text)) }),
        fc.record({ tool_thought: text, tool_calls: fc.array(call, { maxLength: 2 }) }),
        fc.record({ final_answer: text, tool_calls: fc.array(call, { maxLength: 1 }) }),
        fc.dictionary(fc.string(), json, { maxKeys: 2 }),
      ),
      fc.nat(2),
    )
    .map(([value, style]) => asJson(value, style))
  const part = fc.oneof(
    { weight: 4, arbitrary: envelope },
    { weight: 3, arbitrary: envelope.map((body) => fence(body)) },
    { weight: 1, arbitrary: envelope.map((body) => fence(`x = ${body}`, 'python')) },
    {
      weight: 1,
      arbitrary: fc.constantFrom('Sure.', '{braces}', '`x`', ' ', '\n', 'a "b" '),
    },
    { weight: 1, arbitrary: text },
  )
  const reply = fc.array(part, { maxLength: 3 }).map((parts) => parts.join('\n'))
  /** A reply with a few code units put in, taken out or cut off. */
  const damaged = fc
    .tuple(
      reply,
      fc.array(
        fc.tuple(fc.nat(), fc.nat(2), fc.constantFrom('', '"', ',', '}', "'", '\n', '\\', '`', 'x', '😀')),
        { maxLength: 3 },
      ),
    )
    .map(([whole, edits]) =>
      edits.reduce((now, [place, taken, put]) => {
        const at = place % (now.length + 1)
        return now.slice(0, at) + put + now.slice(at + taken)
      }, whole),
    )
  const cuts = fc.array(fc.nat(), { maxLength: 12 })

  function check(whole: string, pieces: readonly string[], sound = true): void {
    const { before, after } = stream(pieces)
    const all = [...before, ...after]
    const said = parseReply(whole)
    for (const { text: told } of all) {
      expect(told).not.toBe('')
      expect(told).toBe(wellFormed(told))
    }
    if (said.kind === 'final') {
      expect(textOf('answer', all)).toBe(said.text)
    } else {
      expect(after).toEqual([])
    }
    if (said.kind === 'step' && (textOf('thought', all) !== '' || sound)) {
      expect(textOf('thought', all) || textOf('answer', all)).toBe(said.thought ?? '')
    }
    const atOnce = stream([whole])
    for (const channel of ['answer', 'thought', 'plan'] as const) {
      expect(textOf(channel, before)).toBe(textOf(channel, atOnce.before))
    }
  }

  it('tells exactly what parseReply says', () => {
    fc.assert(
      fc.property(reply, cuts, (whole, places) => check(whole, splitAt(whole, places))),
      { numRuns: 3_000 },
    )
  })

  it('tells no more than parseReply says when it is damaged', () => {
    fc.assert(
      fc.property(damaged, cuts, (whole, places) => check(whole, splitAt(whole, places), false)),
      { numRuns: 5_000 },
    )
  })

  it('tells the same one code unit at a time', () => {
    fc.assert(
      fc.property(damaged, (whole) => check(whole, whole.split(''), false)),
      { numRuns: 1_000 },
    )
  })

  it('tells final answers as JSON.parse reads them', () => {
    const finals = fc.record({ plan: text, final_answer: text, more: json })
    fc.assert(
      fc.property(finals, fc.nat(2), cuts, (value, style, places) => {
        const whole = fence(asJson(value, style))
        expect(textOf('answer', stream(splitAt(whole, places)).before)).toBe(wellFormed(value.final_answer))
        expect(parseReply(whole)).toMatchObject({ kind: 'final', text: wellFormed(value.final_answer) })
      }),
      { numRuns: 2_000 },
    )
  })
})

describe('a long answer', () => {
  const answerOf = (length: number) =>
    JSON.stringify({ final_answer: 'The "sky" is\né. '.repeat(length / 16) })
  const took = (work: () => void) => {
    const start = performance.now()
    work()
    return performance.now() - start
  }
  const perUnit = (whole: string) =>
    took(() => {
      const envelope = new EnvelopeStream()
      for (let i = 0; i < whole.length; i++) envelope.push(whole.charAt(i))
      envelope.end()
    })
  const best = (times: number, measure: () => number) => Math.min(...Array.from({ length: times }, measure))

  it('takes time in proportion to its length, one code unit per push', () => {
    perUnit(answerOf(50_000))
    const half = best(5, () => perUnit(answerOf(500_000)))
    const whole = best(5, () => perUnit(answerOf(1_000_000)))
    expect(whole / half).toBeLessThan(3)
  })

  it('of five million code units is told one at a time and at once', () => {
    const whole = answerOf(5_000_000)
    const answer = JSON.parse(whole).final_answer
    expect(textOf('answer', stream([whole]).before)).toBe(answer)
    const envelope = new EnvelopeStream()
    const told: string[] = []
    for (let i = 0; i < whole.length; i++) told.push(textOf('answer', envelope.push(whole.charAt(i))))
    expect(told.join('')).toBe(answer)
  })
})
