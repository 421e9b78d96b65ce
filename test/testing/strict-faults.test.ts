import { afterEach, describe, expect, it } from 'vitest'
import type { JsonObject } from '../../src/json.ts'
import type { FailureKind, StrictFault } from '../../src/testing/strict-contract.ts'
import { type StrictProvider, strictProvider } from '../../src/testing/strict-provider.ts'

const open: StrictProvider[] = []
afterEach(async () => {
  for (const provider of open.splice(0)) await provider.close()
})

const messages = [{ role: 'user', content: 'hi' }]
const headers = {
  authorization: 'Bearer k',
  'anthropic-version': '2023-06-01',
  'content-type': 'application/json',
}

const wires = {
  openai: '/v1/chat/completions',
  groq: '/openai/v1/chat/completions',
  openrouter: '/api/v1/chat/completions',
  anthropic: '/v1/messages',
} as const
type Wire = keyof typeof wires
const names = Object.keys(wires) as Wire[] // its own keys

async function start(...script: readonly StrictFault[]): Promise<StrictProvider> {
  const provider = await strictProvider({ script, pieces: 'codepoint' })
  open.push(provider)
  return provider
}

function ask(provider: StrictProvider, wire: Wire, stream: boolean, signal?: AbortSignal): Promise<Response> {
  const body = { model: 'some-model', max_tokens: 10, messages, stream }
  return fetch(`${provider.groqURL}${wires[wire]}`, {
    method: 'POST',
    headers,
    body: JSON.stringify(body),
    ...(signal && { signal }),
  })
}

/** What arrives of one answer, and whether it ended as answers do. */
async function arrives(response: Response): Promise<{ bytes: Buffer; ended: boolean }> {
  const chunks: Uint8Array[] = []
  let ended = true
  try {
    for await (const chunk of response.body ?? []) chunks.push(chunk)
  } catch {
    ended = false
  }
  return { bytes: Buffer.concat(chunks), ended }
}

async function wholeOf(wire: Wire, stream: boolean): Promise<string> {
  const provider = await strictProvider({ script: [reply], pieces: 'codepoint' })
  open.push(provider)
  return (await ask(provider, wire, stream)).text()
}

const reply = { text: 'a é', usage: { inputTokens: 1, outputTokens: 2 } }

const statuses: Record<FailureKind, readonly number[]> = {
  auth: [401],
  quota: [429, 402],
  forbidden: [403],
  not_found: [404],
  too_large: [413],
  rate_limit: [429],
  server_error: [500],
  unavailable: [503],
  overloaded: [529, 502],
  context_length: [400],
  invalid_request: [400],
}

describe.each(names)('a failure in the words of %s', (wire) => {
  it.each(Object.keys(statuses) as FailureKind[])('%s', async (fault) => {
    const provider = await start({ fault, headers: { 'Retry-After': '7' } }, { fault, message: 'Mine.' })
    const response = await ask(provider, wire, false)
    const body = (await response.json()) as JsonObject // an error object, as is checked here
    expect(statuses[fault]).toContain(response.status)
    expect(response.headers.get('retry-after')).toBe('7')
    expect(response.headers.get(wire === 'anthropic' ? 'request-id' : 'x-request-id')).toBe('req_1')
    expect(body['error']).toMatchObject({ message: expect.stringMatching(/\w/) })
    expect(await (await ask(provider, wire, true)).json()).toMatchObject({ error: { message: 'Mine.' } })
    expect(provider.refusals).toEqual([])
  })
})

it('the error bodies are those of the APIs', async () => {
  const said = async (wire: Wire, fault: FailureKind) =>
    (await ask(await start({ fault }), wire, false)).json()
  expect(await said('openai', 'context_length')).toEqual({
    error: {
      message:
        "This model's maximum context length is 128000 tokens. However, your messages resulted in 128001 tokens. Please reduce the length of the messages.",
      type: 'invalid_request_error',
      param: 'messages',
      code: 'context_length_exceeded',
    },
  })
  expect(await said('groq', 'auth')).toEqual({
    error: {
      message: 'Invalid API Key',
      type: 'invalid_request_error',
      param: null,
      code: 'invalid_api_key',
    },
  })
  expect(await said('openrouter', 'quota')).toEqual({
    error: {
      message: 'Insufficient credits. Add more using https://openrouter.ai/settings/credits',
      code: 402,
    },
  })
  expect(await said('anthropic', 'overloaded')).toEqual({
    type: 'error',
    error: { type: 'overloaded_error', message: 'Overloaded' },
  })
})

describe.each(names)('an answer of %s that is none:', (wire) => {
  it.each([true, false])('a page, nothing, null and an error, where a stream is %s', async (stream) => {
    const provider = await start(
      { fault: 'html' },
      { fault: 'empty' },
      { fault: 'null' },
      { fault: 'error_object', failure: 'rate_limit' },
    )
    const answers: unknown[] = []
    for (let count = 0; count < 4; count++) {
      const response = await ask(provider, wire, stream)
      answers.push([
        response.status,
        response.headers.get('content-type'),
        (await response.text()).slice(0, 15),
      ])
    }
    expect(answers).toEqual([
      [200, 'text/html', '<!DOCTYPE html>'],
      [200, 'application/json', ''],
      [200, 'application/json', 'null'],
      [200, 'application/json', expect.stringMatching(/^\{"(error|type)":/)],
    ])
  })
})

describe.each(names)('a stream of %s', (wire) => {
  const eventsOf = (text: string) => text.split(/(?<=\n\n)/)

  /** The stream with the fault, in its place among the events of the whole one. */
  async function play(fault: StrictFault) {
    const events = eventsOf(await wholeOf(wire, true))
    const response = await ask(await start(fault), wire, true)
    return { events, ...(await arrives(response)), type: response.headers.get('content-type') }
  }

  it.each([0, 1, 3])('ends after %i events as if all were said', async (after) => {
    const { events, bytes, ended, type } = await play({ fault: 'truncate', reply, after })
    const opening = wire === 'openrouter' ? 1 : 0
    const sent = after === 0 ? [] : events.slice(0, after + opening)
    expect([bytes.toString(), ended, type]).toEqual([sent.join(''), true, 'text/event-stream; charset=utf-8'])
  })

  it('ends within a line, and within a character', async () => {
    const whole = await wholeOf(wire, true)
    const line = await play({ fault: 'truncate', reply, after: 'content', inside: 'line' })
    expect(whole.startsWith(line.bytes.toString())).toBe(true)
    expect(line.bytes.toString()).not.toMatch(/\n$/)
    expect(line.bytes.toString()).toContain('"a"')
    const character = await play({ fault: 'truncate', reply, inside: 'character' })
    expect(character.bytes.subarray(-1)).toEqual(Buffer.from('é').subarray(0, 1))
    expect(Buffer.from(whole).subarray(0, character.bytes.length)).toEqual(character.bytes)
  })

  it('leaves out the mark of its end', async () => {
    const { events, bytes, ended } = await play({ fault: 'no_end', reply })
    expect([bytes.toString(), ended]).toEqual([events.slice(0, -1).join(''), true])
    expect(events.at(-1)).toMatch(/\[DONE\]|message_stop/)
  })

  it('tells an error first, and after what was said', async () => {
    const first = await play({ fault: 'error_event' })
    expect(eventsOf(first.bytes.toString())).toHaveLength(1)
    expect(first.bytes.toString()).toMatch(/"message":"(Overloaded|Provider returned error)"/)
    const later = await play({ fault: 'error_event', reply, after: 'content' })
    const events = eventsOf(later.bytes.toString())
    expect(later.events.slice(0, events.length - 1)).toEqual(events.slice(0, -1))
    expect(events.at(-2)).toContain('"a"')
    expect(events.at(-1)).toBe(first.bytes.toString())
  })

  it('breaks after what was said', async () => {
    const { bytes, ended } = await play({ fault: 'reset', reply, after: 'content' })
    expect(ended).toBe(false)
    expect(bytes.toString()).toContain('"a"')
  })

  it.each([0, 'content'] as const)('has an event that is no JSON after %s, and goes on', async (after) => {
    const { events, bytes } = await play({ fault: 'garble', reply, after })
    const sent = eventsOf(bytes.toString())
    const changed = sent.findIndex((event, index) => event !== events[index])
    expect(sent.map((event, index) => (index === changed ? event : events[index]))).toEqual(sent)
    expect(sent).toHaveLength(events.length)
    expect(() => JSON.parse(sent[changed]?.split('data: ')[1] ?? '{}')).toThrow(SyntaxError)
    expect(sent.slice(0, changed).join('').includes('"a"')).toBe(after === 'content')
  })

  it('says each event twice, or only those that say something, or those around them', async () => {
    const { events, bytes: all } = await play({ fault: 'double', reply })
    const twice = (text: string) => eventsOf(text).filter((event, index, sent) => event === sent[index + 1])
    // A comment that opens a stream comes with its first event.
    const opening = wire === 'openrouter' ? 1 : 0
    expect(twice(all.toString())).toHaveLength(events.length - 2 * opening)
    const content = await play({ fault: 'double', reply, role: 'content' })
    const saying = content.events.filter((event) => /"(a| |é)"/.test(event))
    expect([saying.length, twice(content.bytes.toString())]).toEqual([3, saying])
    const frame = await play({ fault: 'double', reply, role: 'frame' })
    expect(frame.bytes.toString().match(/\[DONE\]|data: .*message_stop/g)).toHaveLength(1)
  })

  it('has the wrong content type', async () => {
    const { events, bytes, type } = await play({ fault: 'wrong_type', reply })
    expect([bytes.toString(), type]).toEqual([events.join(''), 'text/plain'])
  })

  it('has no choices, or no content', async () => {
    const { bytes, ended } = await play({ fault: 'no_choices' })
    const said = bytes.toString()
    expect([ended, said.match(/\[DONE\]|event: message_stop/g)]).toEqual([true, [expect.anything()]])
    if (wire === 'anthropic') expect(said).not.toContain('content_block')
    else expect(said.match(/"choices":\[[^\]]/)).toBe(null)
  })

  it('drips byte by byte, each when it may', async () => {
    let steps = 0
    const pace = async () => {
      steps += 1
    }
    const { events, bytes } = await play({ fault: 'drip', reply, pace })
    expect([bytes.toString(), steps]).toEqual([events.join(''), bytes.length])
  })

  it.each(['hang', 'pings'] as const)('%s in the middle, and then goes on', async (fault) => {
    let paces = 0
    let goOn = () => {}
    const until = new Promise<void>((resolve) => {
      goOn = resolve
    })
    const pace = async () => {
      paces += 1
      if (paces === 3) goOn()
      await new Promise((resolve) => setImmediate(resolve))
    }
    const playing = play({ fault, reply, after: 'content', until, pace })
    if (fault === 'hang') setImmediate(goOn)
    const { events, bytes } = await playing
    const pings = wire === 'anthropic' ? /event: ping\ndata: \{"type":"ping"\}\n\n/g : /: [\w -]+\n\n/g
    expect(bytes.toString().replace(pings, '')).toBe(events.join('').replace(pings, ''))
    expect(paces >= 3).toBe(fault === 'pings')
  })
})

describe.each(names)('a whole reply of %s', (wire) => {
  async function play(fault: StrictFault) {
    const whole = await wholeOf(wire, false)
    return { whole, ...(await arrives(await ask(await start(fault), wire, false))) }
  }

  it('ends in its middle, within a character, or with an error in its place', async () => {
    const { whole, bytes } = await play({ fault: 'truncate', reply, after: 'content' })
    expect(whole.startsWith(bytes.toString())).toBe(true)
    expect(bytes.length).toBeGreaterThan(whole.length / 3)
    expect(bytes.length).toBeLessThan(whole.length)
    const character = await play({ fault: 'truncate', reply, inside: 'character' })
    expect(character.bytes.subarray(-1)).toEqual(Buffer.from('é').subarray(0, 1))
    const error = await play({ fault: 'error_event' })
    expect(JSON.parse(error.bytes.toString())).toMatchObject({ error: { message: expect.any(String) } })
  })

  it('is no JSON, is there twice, has the wrong content type, or no choices', async () => {
    const garbled = await play({ fault: 'garble', reply })
    expect(garbled.bytes.length).toBe(Buffer.byteLength(garbled.whole) - 1)
    expect(() => JSON.parse(garbled.bytes.toString())).toThrow(SyntaxError)
    const twice = await play({ fault: 'double', reply })
    expect(twice.bytes.toString()).toBe(twice.whole + twice.whole)
    const mistyped = await ask(await start({ fault: 'wrong_type', reply }), wire, false)
    expect([mistyped.headers.get('content-type'), await mistyped.text()]).toEqual(['text/plain', twice.whole])
    const body: JsonObject = JSON.parse((await play({ fault: 'no_choices' })).bytes.toString())
    expect(body[wire === 'anthropic' ? 'content' : 'choices']).toEqual([])
  })

  it('is whole without a mark of its end, byte by byte, and after white space', async () => {
    for (const fault of ['no_end', 'drip'] as const) {
      const { whole, bytes } = await play({ fault, reply })
      expect(bytes.toString()).toBe(whole)
    }
    const until = new Promise<void>((resolve) => setImmediate(resolve))
    const { whole, bytes } = await play({ fault: 'pings', reply, until })
    expect(bytes.toString().trimStart()).toBe(whole)
    expect(bytes.toString()).not.toBe(whole)
  })
})

describe('a request that is never answered', () => {
  it.each<StrictFault>([{ fault: 'hang' }, { fault: 'hang', after: 0 }, { fault: 'pings' }])(
    'ends with its client: %o',
    async (fault) => {
      const provider = await start(fault)
      const leaving = new AbortController()
      const asked = ask(provider, 'openai', true, leaving.signal).then(arrives)
      const settled = asked.then(
        () => 'ended',
        () => 'ended',
      )
      await until(() => provider.liveRequests === 1)
      leaving.abort()
      await settled
      await until(() => provider.liveRequests === 0)
      expect(provider.requests.map(({ clientAborted }) => clientAborted)).toEqual([true])
    },
  )

  it.each<StrictFault>([{ fault: 'hang' }, { fault: 'hang', after: 0 }, { fault: 'pings' }])(
    'ends with its provider: %o',
    async (fault) => {
      const provider = await start(fault)
      const asked = ask(provider, 'anthropic', true).then(arrives, () => 'refused')
      await until(() => provider.liveRequests === 1)
      await provider.close()
      await asked
      expect([provider.openSockets, provider.liveRequests]).toEqual([0, 0])
    },
  )

  it('breaks without headers', async () => {
    const provider = await start({ fault: 'reset' })
    await expect(ask(provider, 'groq', true)).rejects.toThrow('fetch failed')
    expect(provider.requests.map(({ clientAborted }) => clientAborted)).toEqual([false])
  })
})

it('a cut within a character of a reply that has none is a mistake of the script', async () => {
  const provider = await start({ fault: 'truncate', reply: { text: 'plain' }, inside: 'character' })
  await (await ask(provider, 'openai', true)).text().catch(() => {})
  expect(provider.refusals.map(({ rule }) => rule)).toEqual(['script_failed'])
})

async function until(condition: () => boolean): Promise<void> {
  while (!condition()) await new Promise((resolve) => setImmediate(resolve))
}
