import fc from 'fast-check'
import { describe, expect, it } from 'vitest'
import { parseReply } from '../../src/protocol/json-reply.ts'
import type { Turn } from '../../src/protocol/protocol.ts'

const call = (toolName: string, parameters = {}, id?: string) => ({ ...(id && { id }), toolName, parameters })
const step = (...toolCalls: object[]) => ({ kind: 'step', toolCalls })
const final = (text: string) => ({ kind: 'final', text })
const malformed = (reason: string) => ({ kind: 'malformed', reason, message: expect.any(String) })
const fence = (body: string, label = 'json') => `\`\`\`${label}\n${body}\n\`\`\``

describe('the vectors of other systems', () => {
  const plan = '{"plan": "p"}'
  const answer = '{"final_answer": "F"}'
  it.each<[name: string, reply: string, expected: object]>([
    ['a number', '42', final('42')],
    ['null', 'null', malformed('shape')],
    ['a string', '"hello"', final('hello')],
    ['an array', '[1]', malformed('shape')],
    ['a plan as a list', '{"plan":["a","b"]}', { kind: 'plan', plan: 'a\nb' }],
    ['an answer that is an object', '{"final_answer":{"x":1}}', final('{"x":1}')],
    ['an answer that is null', '{"final_answer":null}', malformed('shape')],
    ['tool_calls that are null', '{"tool_calls":null}', malformed('shape')],
    ['a thought with no calls', '{"tool_thought":"t","tool_calls":[]}', malformed('shape')],
    ['a call without an id', '{"tool_calls":[{"tool_name":"a","parameters":{}}]}', step(call('a'))],
    [
      'parameters as a JSON string',
      '{"tool_calls":[{"id":"1","tool_name":"a","parameters":"{\\"x\\":1}"}]}',
      step(call('a', { x: 1 }, '1')),
    ],
    [
      'a plan with tool calls',
      '{"plan":"p","tool_calls":[{"tool_name":"a","parameters":{}}]}',
      { plan: 'p', ...step(call('a')) },
    ],
    ['a plan with an answer', '{"plan":"p","final_answer":"F"}', { plan: 'p', ...final('F') }],
    [
      'an answer with tool calls',
      '{"final_answer":"F","tool_calls":[{"tool_name":"a","parameters":{}}]}',
      { ...step(call('a')), thought: 'F' },
    ],
    [
      'a python fence, then a json fence',
      `${fence('print({"a": 1})', 'python')}\n${fence(answer)}`,
      final('F'),
    ],
    ['prose, then a json fence', `Sure!\n\n${fence(answer)}`, final('F')],
    ['prose, then a bare envelope', `Sure: ${answer}`, final('F')],
    ['a truncated fence', '```json\n{"final_answer": "abc', malformed('json')],
    ['two fences', `${fence(plan)}\n${fence(answer)}`, { plan: 'p', ...final('F') }],
    ['an upper-case label', fence(answer, 'JSON'), final('F')],
  ])('%s', (_name, reply, expected) => {
    expect(parseReply(reply)).toEqual(expected)
  })
})

describe('an envelope', () => {
  it.each<[name: string, reply: string, expected: object]>([
    ['on one fenced line', '```json{"final_answer":"F"}```', final('F')],
    ['in a fence without a label', fence('{"final_answer":"F"}', ''), final('F')],
    ['alone in a fence of another language', fence('{"final_answer":"F"}', 'javascript'), final('F')],
    [
      'after an example in code',
      `${fence('x = {"final_answer": "no"}', 'python')}\n{"final_answer":"F"}`,
      final('F'),
    ],
    ['after an unclosed fence of code', '```python\nx = {\n```json\n{"final_answer":"F"}\n```', final('F')],
    ['after stray braces', 'Use {braces and { "a set" } first. {"final_answer":"F"}', final('F')],
    ['after a quoted brace', 'The token {" opens.\n```json\n{"final_answer":"F"}\n```', final('F')],
    ['in doubled braces', '{{"final_answer":"F"}}', final('F')],
    ['with an escaped key', '{"final\\u005fanswer":"F"}', final('F')],
    ['with keys of its own', '{"mood":{"final_answer":"no"},"final_answer":"F"}', final('F')],
    ['said twice', '{"final_answer":"F"}\n{"final_answer":"G"}', final('F')],
    ['null first', '{"final_answer":null}{"final_answer":"F"}', final('F')],
    ['with an empty answer', '{"final_answer":""}', final('')],
    ['with an answer that is an array', '{"final_answer": [1, {"a" : "b"} ]}', final('[1, {"a" : "b"} ]')],
    ['with an answer that is a number', '{"final_answer": -1.50e3 }', final('-1.50e3')],
    ['with an answer that is a boolean', '{"final_answer": false}', final('false')],
    ['with raw line breaks in its answer', '{"final_answer": "a\n\tb"}', final('a\n\tb')],
    [
      'whose answer holds a fence',
      JSON.stringify({ final_answer: '```json\n{"a":1}\n```' }),
      final('```json\n{"a":1}\n```'),
    ],
    [
      'whose answer holds an envelope',
      JSON.stringify({ final_answer: '{"final_answer":"no"}' }),
      final('{"final_answer":"no"}'),
    ],
    [
      'whose answer holds tool calls',
      JSON.stringify({ final_answer: '```json\n{"tool_calls":[{"tool_name":"a","parameters":{}}]}\n```' }),
      final('```json\n{"tool_calls":[{"tool_name":"a","parameters":{}}]}\n```'),
    ],
    ['with half a surrogate pair', '{"final_answer":"a\\ud83d!"}', final('a\ufffd!')],
    ['with a plan that is an object', '{"plan": {"a": 1}}', { kind: 'plan', plan: '{"a":1}' }],
    ['with a plan of mixed items', '{"plan": ["a", {"b": 1}, 2]}', { kind: 'plan', plan: 'a\n{"b":1}\n2' }],
    ['with a plan that is a number', '{"plan": 3, "final_answer": "F"}', { plan: '3', ...final('F') }],
    ['with a null plan', '{"plan": null, "final_answer": "F"}', final('F')],
    ['with a blank plan', '{"plan": " "}', malformed('shape')],
    ['with a plan and no calls', '{"plan": "p", "tool_calls": []}', { kind: 'plan', plan: 'p' }],
    ['with an answer and null calls', '{"final_answer": "F", "tool_calls": null}', final('F')],
    ['with only a thought', '{"tool_thought": "t"}', malformed('shape')],
  ])('%s', (_name, reply, expected) => {
    expect(parseReply(reply)).toEqual(expected)
  })
})

describe('tool calls', () => {
  it.each<[name: string, reply: string, expected: object]>([
    ['have aliases', '{"tool_calls":[{"name":"a","arguments":{"x":1}}]}', step(call('a', { x: 1 }))],
    ['have more aliases', '{"tool_calls":[{"toolName":"a","input":{"x":1}}]}', step(call('a', { x: 1 }))],
    ['have yet more aliases', '{"tool_calls":[{"tool":"a","args":{"x":1}}]}', step(call('a', { x: 1 }))],
    ['prefer the proper name', '{"tool_calls":[{"name":"b","tool_name":"a"}]}', step(call('a'))],
    ['may be a single object', '{"tool_calls":{"tool_name":"a","parameters":{}}}', step(call('a'))],
    [
      'may be the whole reply',
      '{"tool_name":"a","parameters":{"x":1},"id":"7"}',
      step(call('a', { x: 1 }, '7')),
    ],
    ['may be the whole fence', fence('{"name":"a","arguments":"{\\"x\\":1}"}'), step(call('a', { x: 1 }))],
    [
      'may stand beside a thought',
      '{"tool_thought":"t","tool_name":"a","parameters":{}}',
      { ...step(call('a')), thought: 't' },
    ],
    ['keep a numeric id', '{"tool_calls":[{"id":3,"tool_name":"a"}]}', step(call('a', {}, '3'))],
    ['drop an empty id', '{"tool_calls":[{"id":"","tool_name":"a"}]}', step(call('a'))],
    [
      'may take nothing',
      '{"tool_calls":[{"tool_name":"a","parameters":null},{"tool_name":"b","parameters":""}]}',
      step(call('a'), call('b')),
    ],
    [
      'are merged in order',
      '{"tool_thought":"t","tool_calls":[{"tool_name":"a"}]}\n{"tool_calls":[{"tool_name":"b"}]}{"final_answer":"F"}',
      { ...step(call('a'), call('b')), thought: 't' },
    ],
    ['need a name', '{"tool_calls":[{"tool_name":"a"},{"parameters":{}}]}', malformed('shape')],
    ['need to be objects', '{"final_answer":"F","tool_calls":["a"]}', malformed('shape')],
    [
      'do not get a name from a prototype',
      '{"tool_calls":[{"__proto__":{"tool_name":"a"}}]}',
      malformed('shape'),
    ],
    ['are never repaired', '{"tool_calls":[{"tool_name":"a","parameters":{"x":1,}}]}', malformed('json')],
    ['are never repaired when bare', '{"tool_name":"a","parameters":{"x":1,}}', malformed('json')],
    ['are never repaired when escaped', '{"tool\\u005fcalls":[{"name":"a"}],}', malformed('json')],
    [
      'are never repaired inside strings',
      '{"tool_calls":[{"tool_name":"a","parameters":{"x":"a\nb"}}]}',
      malformed('json'),
    ],
    ['are never executed when cut', '{"tool_calls":[{"tool_name":"a","parameters":{}}', malformed('json')],
    [
      'are never executed when a later envelope is cut',
      '{"tool_calls":[{"tool_name":"a"}]}{"tool_calls":[',
      malformed('json'),
    ],
    [
      'shown bare in prose are prose',
      'Say {"tool_name":"a","parameters":{}} to me.',
      final('Say {"tool_name":"a","parameters":{}} to me.'),
    ],
    ['named beside an answer are data', '{"final_answer":"F","name":"a","input":{}}', final('F')],
  ])('%s', (_name, reply, expected) => {
    expect(parseReply(reply)).toEqual(expected)
  })

  it.each<[name: string, parameters: string, problem: string]>([
    ['broken JSON', '"{\\"x\\":"', 'the parameters are a string that is not valid JSON'],
    ['an array', '[1]', 'the parameters must be a JSON object, not an array'],
    ['the text null', '"null"', 'the parameters must be a JSON object, not null'],
    ['a number', '7', 'the parameters must be a JSON object, not a number'],
    [
      'deep JSON',
      JSON.stringify(`${'{"a":'.repeat(300)}1${'}'.repeat(300)}`),
      'the parameters nest more than 200 deep',
    ],
  ])('with %s as parameters say what is wrong', (_name, parameters, invalid) => {
    expect(parseReply(`{"tool_calls":[{"tool_name":"a","parameters":${parameters}}]}`)).toEqual(
      step({ ...call('a'), invalid }),
    )
  })

  it('keep __proto__ as a member and leave prototypes alone', () => {
    const reply = parseReply('{"tool_calls":[{"tool_name":"a","parameters":{"__proto__":{"admin":true}}}]}')
    const parameters = reply.kind === 'step' ? reply.toolCalls[0]?.parameters : undefined
    expect(Object.keys(parameters ?? {})).toEqual(['__proto__'])
    expect(parameters?.['admin']).toBeUndefined()
    expect('admin' in {}).toBe(false)
  })
})

describe('a reply without an envelope', () => {
  it.each<[name: string, reply: string, expected: object]>([
    ['nothing', ' \n', malformed('empty')],
    ['prose', '  It is sunny. \n', final('It is sunny.')],
    ['prose with braces', 'Hello {name}, {"x"} and {}', final('Hello {name}, {"x"} and {}')],
    ['prose with an object', 'The config is {"a": 1}.', final('The config is {"a": 1}.')],
    [
      'prose with a fenced object',
      `The config is\n${fence('{"a": 1}')}`,
      final(`The config is\n${fence('{"a": 1}')}`),
    ],
    [
      'prose that begins with broken JSON',
      '{"a": 1,} has a stray comma.',
      final('{"a": 1,} has a stray comma.'),
    ],
    ['prose in quotes', '"Yes," she said.', final('"Yes," she said.')],
    ['a footnote', '[1] Smith, 1999', final('[1] Smith, 1999')],
    ['code', fence('print({"plan": "x"})', 'python'), final(fence('print({"plan": "x"})', 'python'))],
    ['a fenced number', fence('42'), final('42')],
    ['a boolean', 'true', final('true')],
    ['an object', '{"answer": "x"}', malformed('shape')],
    ['a fenced object', fence('{"answer": "x"}'), malformed('shape')],
    ['an empty object', '{}', malformed('shape')],
    ['a nested envelope', '{"reply": {"final_answer": "F"}}', malformed('shape')],
    ['a broken object', '{"answer": "x",}', malformed('json')],
    ['an object with a broken key', '{"tool_calls: [{"tool_name": "a"}]}', malformed('json')],
    ['a set', '{"x"} is a set.', final('{"x"} is a set.')],
    ['a cut object', '{"answer": "x', malformed('json')],
    ['a broken object around an envelope', '{"a": None, "b": {"final_answer": "no"}}', malformed('json')],
  ])('%s', (_name, reply, expected) => {
    expect(parseReply(reply)).toEqual(expected)
  })
})

describe('a damaged envelope', () => {
  it.each<[name: string, reply: string, expected: object]>([
    ['with a trailing comma', '{"final_answer": "F",}', final('F')],
    ['with single quotes', "{'final_answer': 'it is {fine}'}", final('it is {fine}')],
    ['with single quotes, in prose', "Sure: {'final_answer': 'F'} Bye.", final('F')],
    ['without quotes', '{final_answer: "F"}', final('F')],
    ['in Python', "{'plan': None, 'final_answer': 'F', 'sure': True}", { ...final('F') }],
    ['in Python, its answer an object', '{"final_answer": {"a": True, }}', final('{"a": true }')],
    ['with quotes inside', '{"final_answer": "He said "hi" to me"}', final('He said "hi" to me')],
    ['with its brace missing before the fence closes', '```json\n{"final_answer": "F"\n```', final('F')],
    ['with its last brace missing', '{"final_answer": {"a": 1}', final('{"a": 1}')],
    ['that is a plan', "```json\n{'plan': 'p'}\n```", { kind: 'plan', plan: 'p' }],
    ['before a sound one', '{\'final_answer\': \'no\'}{"final_answer": "F"}', final('F')],
    ['that repair would contradict', '{"final_answer": "abc, "plan": "x"}', malformed('json')],
    ['whose string never ends', '{"final_answer": "abc}', malformed('json')],
    ['whose string never ends in its fence', '```json\n{"final_answer": "abc\n```', malformed('json')],
    ['without a colon', '{"final_answer" "F"}', final('F')],
    ['cut after its answer', '{"final_answer": "F"', malformed('json')],
    ['cut after a comma', '{"final_answer": "F",', malformed('json')],
    ['cut after a key', '{"final_answer"', malformed('json')],
    ['with a bad unicode escape', '{"final_answer": "\\u12 x"}', malformed('json')],
    ['too long to repair', `{"final_answer": "${'x'.repeat(40_000)}",}`, malformed('json')],
    ['one of many', '{"final_answer": "F",}'.repeat(20), malformed('json')],
  ])('%s', (_name, reply, expected) => {
    expect(parseReply(reply)).toEqual(expected)
  })

  it('tells the model where it went wrong', () => {
    expect(parseReply('{"tool_calls": [{"tool_name": weather}]}')).toEqual({
      kind: 'malformed',
      reason: 'json',
      message:
        'The reply is not valid JSON: at character 30 there should be a value. Reply with one JSON object: ' +
        '{"tool_thought": "…", "tool_calls": [{"id": "…", "tool_name": "…", "parameters": {…}}]} to use tools, ' +
        'or {"final_answer": "…"} to answer.',
    })
  })
})

describe('hostile replies', () => {
  const inputs: [name: string, make: (length: number) => string][] = [
    ['open braces', (n) => '{'.repeat(n)],
    ['open brackets', (n) => '['.repeat(n)],
    ['nested objects', (n) => '{"a":'.repeat(n / 5)],
    ['nested answers', (n) => `{"final_answer":${'['.repeat(n)}`],
    ['empty objects', (n) => '{}'.repeat(n / 2)],
    ['broken envelopes', (n) => '{"plan":x}'.repeat(n / 10)],
    ['nested broken envelopes', (n) => '{"plan":x'.repeat(n / 9)],
    ['unquoted keys', (n) => '{final_answer:'.repeat(n / 14)],
    ['half keys', (n) => '{"'.repeat(n / 2)],
    ['quotes', (n) => `{"final_answer": ${'"a" '.repeat(n / 4)}}`],
    ['backslashes', (n) => `{"final_answer": "${'\\'.repeat(n)}"}`],
    ['backticks', (n) => '`'.repeat(n)],
    ['fences', (n) => '```a\n'.repeat(n / 5)],
    ['spaces', (n) => `{"final_answer": {${' '.repeat(n)}`],
    ['spaces and backticks', (n) => `\`\`\`${' `'.repeat(n / 2)} x`],
    ['digits', (n) => `{"final_answer": ${'1'.repeat(n)}`],
    ['names', (n) => `{${'a'.repeat(n)}`],
    ['a long answer', (n) => JSON.stringify({ final_answer: 'é\n"x"'.repeat(n / 6) })],
    [
      'a long argument',
      (n) => JSON.stringify({ tool_calls: [{ tool_name: 'a', parameters: { x: 'y'.repeat(n) } }] }),
    ],
    ['tiny calls', (n) => `{"tool_calls":[${'{"tool":"a"},'.repeat(n / 13)}{"tool":"a"}]}`],
    ['half surrogates', (n) => `{"final_answer":"${'\\ud83d'.repeat(n / 6)}"}`],
  ]
  it.each(inputs)('of %s take linear time', (_name, make) => {
    const took = (length: number) => {
      const text = make(length)
      const start = performance.now()
      parseReply(text)
      return performance.now() - start
    }
    took(50_000)
    // Quadratic work on a million code units would take minutes.
    expect(took(1_000_000)).toBeLessThan(5_000)
  })

  it.each(['{"a":', '{"plan":', '{"final_answer":[', '{"tool_calls":['])(
    'nested in %s are malformed beyond depth 200',
    (open) => {
      const reply = parseReply(`${open}${'['.repeat(100_000)}${']'.repeat(100_000)}}`)
      expect(reply).toMatchObject({ kind: 'malformed', reason: 'json' })
    },
  )

  it('are read like JSON.parse reads them', () => {
    fc.assert(
      fc.property(fc.json({ maxDepth: 4 }), fc.nat(), fc.string({ maxLength: 2 }), (json, at, noise) => {
        const index = at % (json.length + 1)
        for (const value of [json, json.slice(0, index) + noise + json.slice(index)]) {
          const envelope = `{"tool_calls": [], "final_answer": ${value}}`
          const parsed = parsedAnswer(envelope)
          const reply = parseReply(envelope)
          if (parsed === undefined) {
            continue
          }
          expect(reply).toEqual(
            parsed.answer === null
              ? malformed('shape')
              : final(typeof parsed.answer === 'string' ? wellFormed(parsed.answer) : value.trim()),
          )
        }
      }),
      { numRuns: 2_000 },
    )
  })

  it('never throw', () => {
    const token = fc.constantFrom(
      ...[
        '{',
        '}',
        '[',
        ']',
        '"',
        "'",
        ':',
        ',',
        '\\',
        '\n',
        '```',
        '```json\n',
        ' ',
        'x',
        '1',
        'null',
        '\\u',
        'd83d',
      ],
      ...[
        '"plan"',
        '"final_answer"',
        '"tool_calls"',
        '"tool_thought"',
        '"tool_name"',
        '"parameters"',
        'final_answer',
      ],
    )
    const kinds = new Set(['step', 'final', 'plan', 'malformed'])
    fc.assert(
      fc.property(fc.array(token, { maxLength: 30 }), (tokens) => {
        const reply: Turn = parseReply(tokens.join(''))
        expect(kinds.has(reply.kind)).toBe(true)
      }),
      { numRuns: 3_000 },
    )
  })
})

/** UTF-8 knows no half pairs: they come back as U+FFFD. */
function wellFormed(text: string): string {
  return new TextDecoder('utf-8', { ignoreBOM: true }).decode(new TextEncoder().encode(text))
}

/** The answer of an envelope that is strict JSON and has no second one. */
function parsedAnswer(envelope: string): { answer: unknown } | undefined {
  try {
    const { final_answer: answer, ...rest } = JSON.parse(envelope)
    return Object.keys(rest).length === 1 && rest.tool_calls.length === 0 ? { answer } : undefined
  } catch {
    return undefined
  }
}
