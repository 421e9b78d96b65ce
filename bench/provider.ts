/**
 * The provider that all contestants talk to, in a process of its own: a fast server in the format of Chat Completions whose
 * answers follow from the request alone. It checks what it is asked, and tells by `GET /tally` what that was since the last
 * time.
 */
import { createServer, type ServerResponse } from 'node:http'

interface Asked {
  readonly model: string
  readonly stream?: boolean
  readonly messages: readonly { readonly role: string; readonly content: unknown }[]
}

export interface Tally {
  requests: number
  /** Of all requests, without system messages. */
  messages: number
  /** Results of tools in all requests. */
  results: number
  /** Requests that wait for `/release`. */
  held: number
  /** What was wrong with requests. */
  faults: string[]
}

/** What a reply says. `isFresh`: each event of its stream has an id of its own. */
type Reply = { readonly text: string; readonly isFresh?: true } | CallReply

interface CallReply {
  readonly call: string
  readonly number: number
}

/** Tokens of one write of a stream. */
const tokensPerWrite = 10

let tally = emptyTally()
const held: (() => void)[] = []

function emptyTally(): Tally {
  return { requests: 0, messages: 0, results: 0, held: 0, faults: [] }
}

/** What each model says, by the start of its name; the number after a dash is its own. */
const scenarios: Readonly<Record<string, (asked: Asked, number: number) => Reply>> = {
  answer: () => ({ text: 'The answer is 42.' }),
  start: () => ({ text: 'Started.' }),
  /** Answers when it is told to, by `/release`. */
  hold: () => ({ text: 'Held.' }),
  tokens: (_, number) => ({ text: tokens(number) }),
  fresh: (_, number) => ({ text: tokens(number), isFresh: true }),
  /** An answer of so many characters, in the JSON protocol. */
  envelope: (_, number) => ({ text: JSON.stringify({ final_answer: tokens(Math.floor(number / 5)) }) }),
  /** So many calls of `add`, one after another, and the last sum. */
  tools: ({ messages }, number) => {
    const results = messages.filter(({ role }) => role === 'tool')
    for (const [index, { content }] of results.entries()) {
      if (Number(textOf(content)) !== index + 1) fault(`result ${index} is ${JSON.stringify(content)}`)
    }
    tally.results += results.length
    if (results.length < number) return { call: `{"a":${results.length},"b":1}`, number: results.length }
    return { text: `The sum is ${textOf(results.at(-1)?.content)}.` }
  },
}

const texts = new Map<number, string>()

function tokens(count: number): string {
  let text = texts.get(count)
  if (text === undefined) {
    text = Array.from({ length: count }, (_, index) => ` t${String(index % 1000).padStart(3, '0')}`).join('')
    texts.set(count, text)
  }
  return text
}

function textOf(content: unknown): string {
  if (typeof content === 'string') return content
  return Array.isArray(content) ? content.map(({ text }: { text: string }) => text).join('') : ''
}

function fault(what: string): void {
  if (tally.faults.length < 10) tally.faults.push(what)
}

const frame = {
  id: 'chatcmpl-BenchBenchBenchBenchBenchBe',
  created: 1_790_000_000,
  model: 'bench-1',
  service_tier: 'default',
  system_fingerprint: 'fp_0123456789',
}
const usage = { prompt_tokens: 20, completion_tokens: 10, total_tokens: 30 }

function callOf({ call, number }: CallReply) {
  return { id: `call_${number}`, type: 'function', function: { name: 'add', arguments: call } }
}

function whole(reply: Reply): Buffer {
  const message =
    'text' in reply
      ? { role: 'assistant', content: reply.text, refusal: null, annotations: [] }
      : { role: 'assistant', content: null, refusal: null, tool_calls: [callOf(reply)] }
  const finish_reason = 'text' in reply ? 'stop' : 'tool_calls'
  const choices = [{ index: 0, message, logprobs: null, finish_reason }]
  return Buffer.from(JSON.stringify({ ...frame, object: 'chat.completion', choices, usage }))
}

/** The writes of a stream. */
function streamed(reply: Reply): readonly Buffer[] {
  let count = 0
  // What OpenAI pads its events with, so that nobody can read their lengths.
  const padding = () => 'x7KqPz0aBfT2'.slice(0, 1 + (count++ % 12))
  const id = () => ('isFresh' in reply ? { id: `${frame.id}${count}` } : {})
  const event = (delta: object, finish_reason: string | null = null) =>
    `data: ${JSON.stringify({ ...frame, ...id(), object: 'chat.completion.chunk', choices: [{ index: 0, delta, logprobs: null, finish_reason }], usage: null, obfuscation: padding() })}\n\n`
  const events = [event({ role: 'assistant', content: 'text' in reply ? '' : null, refusal: null })]
  if ('text' in reply) {
    for (const token of reply.text.match(/.{1,5}/gs) ?? []) events.push(event({ content: token }))
  } else {
    const { id, type, function: called } = callOf(reply)
    events.push(event({ tool_calls: [{ index: 0, id, type, function: { ...called, arguments: '' } }] }))
    for (const piece of called.arguments.match(/.{1,5}/gs) ?? [])
      events.push(event({ tool_calls: [{ index: 0, function: { arguments: piece } }] }))
  }
  events.push(event({}, 'text' in reply ? 'stop' : 'tool_calls'))
  events.push(
    `data: ${JSON.stringify({ ...frame, object: 'chat.completion.chunk', choices: [], usage })}\n\n`,
    'data: [DONE]\n\n',
  )
  const writes: Buffer[] = []
  // The first token goes alone: nobody has to wait for others.
  writes.push(Buffer.from(events.slice(0, 2).join('')))
  for (let at = 2; at < events.length; at += tokensPerWrite)
    writes.push(Buffer.from(events.slice(at, at + tokensPerWrite).join('')))
  return writes
}

const known = new Map<string, readonly Buffer[]>()

function answer(response: ServerResponse, asked: Asked): void {
  const [name = '', number] = asked.model.split('-')
  const scenario = scenarios[name]
  if (!scenario) {
    fault(`no scenario ${asked.model}`)
    response.writeHead(404).end()
    return
  }
  const reply = scenario(asked, Number(number))
  const stream = asked.stream === true
  const key = `${stream} ${name} ${'text' in reply ? reply.text.slice(0, 40) + reply.text.length : reply.call}`
  let writes = known.get(key)
  if (!writes) {
    writes = stream ? streamed(reply) : [whole(reply)]
    known.set(key, writes)
  }
  const headers = { 'x-request-id': 'req_0123456789abcdef', 'openai-processing-ms': '10' }
  if (stream) {
    response.writeHead(200, { ...headers, 'content-type': 'text/event-stream; charset=utf-8' })
    for (const bytes of writes) response.write(bytes)
    response.end()
  } else {
    response.writeHead(200, {
      ...headers,
      'content-type': 'application/json',
      'content-length': writes[0]?.length,
    })
    response.end(writes[0])
  }
}

const server = createServer({ keepAliveTimeout: 120_000 }, (request, response) => {
  if (request.url === '/tally') {
    response.end(JSON.stringify({ ...tally, held: held.length }))
    return
  }
  if (request.url === '/reset') {
    tally = emptyTally()
    response.end('{}')
    return
  }
  if (request.url === '/release') {
    for (const release of held.splice(0)) release()
    response.end('{}')
    return
  }
  const chunks: Buffer[] = []
  request.on('data', (chunk: Buffer) => chunks.push(chunk))
  request.on('end', () => {
    if (request.url !== '/v1/chat/completions') fault(`${request.method} ${request.url}`)
    // Whatever is sent here that is no request ends this process, and with it the benchmark.
    const asked = JSON.parse(Buffer.concat(chunks).toString()) as Asked
    tally.requests += 1
    tally.messages += asked.messages.filter(({ role }) => role !== 'system').length
    const last = asked.messages.at(-1)?.role
    if (last !== 'user' && last !== 'tool') fault(`the last message is of ${last}`)
    if (asked.model === 'hold') held.push(() => answer(response, asked))
    else answer(response, asked)
  })
})

server.listen(0, '127.0.0.1', () => {
  const address = server.address()
  console.log(typeof address === 'object' ? address?.port : address)
})
