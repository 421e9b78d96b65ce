import type { ServerResponse } from 'node:http'
import { setImmediate } from 'node:timers'
import { isJsonObject, type JsonObject } from '../json.ts'
import { words } from './refusal.ts'
import { cut, unlessGone, untilInsideCharacter, write, writeAndEnd } from './strict-bytes.ts'
import type {
  BodyFault,
  DeliveryFault,
  Dialect,
  Failure,
  FailureFault,
  StrictFault,
  StrictReply,
  WireEvent,
} from './strict-contract.ts'
import { type Delivery, deliver, sendAnswer, textsOf } from './strict-delivery.ts'

/** Answers a request with what goes wrong. */
export async function strike(fault: StrictFault, delivery: Delivery): Promise<void> {
  if (isFailure(fault)) return sendFailure(fault, delivery)
  switch (fault.fault) {
    case 'html':
    case 'empty':
    case 'null':
    case 'error_object':
    case 'no_choices':
      return sendBody(fault, delivery)
    default:
      return goWrong(fault, delivery)
  }
}

/** A refusal, not an answer that goes wrong on its way. */
export function isFailure(fault: StrictFault): fault is FailureFault {
  return !wireFaults.has(fault.fault)
}

const wireFaults: ReadonlySet<string> = words(`
  html empty null error_object no_choices
  error_event truncate no_end reset hang pings drip garble double wrong_type`)

/** What a request was refused for, as its provider words it. */
export function failureOf({ fault, message }: FailureFault, dialect: Dialect, request: JsonObject): Failure {
  const { status, body } = dialect.failure(fault, request)
  const said =
    isJsonObject(body['error']) && message !== undefined ? { ...body['error'], message } : body['error']
  return { status, body: { ...body, ...(said !== undefined && { error: said }) } }
}

function sendFailure(fault: FailureFault, delivery: Delivery): void {
  const { status, body } = failureOf(fault, delivery.dialect, delivery.request)
  sendAnswer(delivery, status, JSON.stringify(body), {
    'content-type': 'application/json',
    ...fault.headers,
  })
}

const page =
  '<!DOCTYPE html><html><head><title>Just a moment...</title></head><body>Checking your browser</body></html>'

async function sendBody({ fault, failure = 'overloaded' }: BodyFault, delivery: Delivery): Promise<void> {
  if (fault === 'no_choices') return deliver({}, withoutChoices(delivery))
  const { dialect, request } = delivery
  const bodies = {
    html: page,
    empty: '',
    null: 'null',
    error_object: JSON.stringify(dialect.failure(failure, request).body),
  }
  sendAnswer(delivery, 200, bodies[fault], {
    'content-type': fault === 'html' ? 'text/html' : 'application/json',
  })
}

/** The same, with no choice in any list of them. Messages has none: its content is as empty as the reply. */
function withoutChoices(delivery: Delivery): Delivery {
  const emptied = (text: string) =>
    text.replace(/\{.*\}/, (json) => {
      const said: JsonObject = JSON.parse(json)
      return JSON.stringify({ ...said, ...('choices' in said && { choices: [] }) })
    })
  return {
    ...delivery,
    body: (reply) => emptied(delivery.body(reply)),
    events: (reply) => [...delivery.events(reply)].map((event) => ({ ...event, text: emptied(event.text) })),
  }
}

// Characters of two and of four bytes, for what is to be cut inside of one.
const usualReply: StrictReply = { text: 'Größe 👍 und mehr.' }

async function goWrong(fault: DeliveryFault, delivery: Delivery): Promise<void> {
  const { response, gone, chunking, streams } = delivery
  const { reply = usualReply, until = new Promise<void>(() => {}) } = fault
  const events = streams ? [...delivery.events(reply)] : halves(delivery.body(reply))
  const [before, rest] = split(events, fault)
  if (fault.after === undefined && fault.fault === 'reset') return reset(response)
  if (fault.after === undefined && fault.fault === 'hang') await unlessGone(until, gone)
  if (gone.aborted) return
  const type = streams ? 'text/event-stream; charset=utf-8' : 'application/json'
  response.writeHead(200, {
    ...delivery.headers,
    'content-type': fault.fault === 'wrong_type' ? 'text/plain' : type,
  })
  response.flushHeaders()
  if (fault.fault === 'drip') return drip(events, fault, delivery)
  await write(response, cut(textsOf(before), chunking), gone)
  switch (fault.fault) {
    case 'error_event':
      return writeAndEnd(response, [errorEvent(fault, delivery)], gone)
    case 'truncate':
      return writeAndEnd(response, remainder([...textsOf(rest)].join(''), fault), gone)
    case 'no_end':
      response.end()
      return
    case 'reset':
      // What was written must be on its way before the connection breaks.
      await new Promise((resolve) => response.write('', resolve))
      return reset(response)
    case 'pings':
      await sendPings(fault, delivery)
      break
    case 'hang':
      if (fault.after !== undefined) await unlessGone(until, gone)
      break
  }
  return writeAndEnd(response, cut(textsOf(damaged(rest, fault, streams)), chunking), gone)
}

/** A whole reply has two halves in the place of events. */
function halves(text: string): WireEvent[] {
  const middle = text.indexOf('"', text.length / 2)
  return [text.slice(0, middle), text.slice(middle)].map((half) => ({ text: half, role: 'content' }))
}

/** What is sent before the fault strikes, and after it. */
function split(
  events: readonly WireEvent[],
  { fault, after = 0 }: DeliveryFault,
): [before: readonly WireEvent[], rest: readonly WireEvent[]] {
  if (fault === 'no_end') return [events.filter(({ role }) => role !== 'end'), []]
  const count = after === 'content' ? events.findIndex(({ role }) => role === 'content') + 1 : after
  return [events.slice(0, count), events.slice(count)]
}

function errorEvent(
  { failure = 'overloaded' }: DeliveryFault,
  { dialect, request, streams }: Delivery,
): Uint8Array {
  const { body } = dialect.failure(failure, request)
  return Buffer.from(streams ? dialect.errorEvent(body) : JSON.stringify(body))
}

/** What of the rest is still sent when it is cut. */
function remainder(rest: string, { inside }: DeliveryFault): Uint8Array[] {
  if (inside === undefined) return []
  if (inside === 'line') return [Buffer.from(rest.slice(0, Math.ceil(rest.indexOf('\n', 1) / 2) || 1))]
  const cutHere = untilInsideCharacter(rest)
  if (cutHere === undefined) throw new Error('The rest of the reply has no character of more than one byte.')
  return [cutHere]
}

function damaged(
  rest: readonly WireEvent[],
  { fault, role }: DeliveryFault,
  streams: boolean,
): readonly WireEvent[] {
  const [next, ...others] = rest
  // A quotation mark is where nothing can be left out.
  if (fault === 'garble' && next) return [{ ...next, text: next.text.replace('"', '') }, ...others]
  if (fault !== 'double') return rest
  if (!streams) return [...rest, ...rest]
  return rest.flatMap((event) => (role === undefined || event.role === role ? [event, event] : [event]))
}

async function sendPings(
  fault: DeliveryFault,
  { response, gone, dialect, streams }: Delivery,
): Promise<void> {
  const { pace = nextTurn, until } = fault
  const over = new AbortController()
  const end = () => over.abort()
  until?.then(end, end)
  const ping = Buffer.from(streams ? dialect.ping : ' ')
  while (!gone.aborted && !over.signal.aborted) {
    await unlessGone(pace(), gone)
    await write(response, [ping], gone)
  }
}

async function drip(
  events: readonly WireEvent[],
  { pace = nextTurn }: DeliveryFault,
  { response, gone }: Delivery,
): Promise<void> {
  for (const byte of cut(textsOf(events), 'bytes')) {
    await unlessGone(pace(), gone)
    await write(response, [byte], gone)
    if (gone.aborted) return
  }
  response.end()
}

function reset(response: ServerResponse): void {
  response.destroy(new Error('The connection was broken as the script says.'))
}

function nextTurn(): Promise<void> {
  return new Promise((resolve) => setImmediate(resolve))
}
