import { type JsonObject, jsonCopy, parseJson } from '../../json.ts'

/**
 * Events of one stream differ in little more than their text. Once one was parsed, those that have the same characters
 * around theirs are known to say the same, and are not parsed: that would be half of what a token costs.
 */
export class AlikeEvents {
  #shape: Shape | undefined
  #last: JsonObject | undefined
  #seen = 0
  /** How often a shape was learned since one has fitted; some servers have something new in every event. */
  #tries = 0

  /** The text of an event that is like the one before; `undefined` if it has to be parsed. */
  textOf(data: string): string | undefined {
    const shape = this.#shape
    if (shape === undefined) return undefined
    const { around, textAt } = shape
    let text: string | undefined
    let at = 0
    for (let part = 0; part < around.length; part++) {
      const same = around[part] ?? ''
      const end = at + same.length
      // By comparing what is cut out: a third of what `startsWith` takes.
      if (data.slice(at, end) !== same) return undefined
      at = end
      if (part === around.length - 1) break
      const own = plainTextAt(data, at)
      if (own === undefined) return undefined
      if (part === textAt) text = own
      at += own.length
    }
    if (at !== data.length || text === undefined || text === '') return undefined
    this.#tries = 0
    return text
  }

  /** `data` was parsed as `event`, and `text` is all that it says. */
  learn(data: string, event: JsonObject, text: string): void {
    const last = this.#last
    this.#last = event
    this.#seen += 1
    if (this.#seen < leastSeen || this.#tries >= mostTries) return
    // Of what says nothing: padding (OpenAI Chat Completions, "obfuscation", 2026-11), and an id where each event has its own.
    const others = ['obfuscation', 'id'].filter((name) =>
      name === 'id' ? last !== undefined && event[name] !== last[name] : name in event,
    )
    const shape = shapeOf(data, event, text, others)
    if (shape === undefined) return
    this.#tries += 1
    this.#shape = shape
  }
}

/** An event without its text, and without what else is new in each. */
interface Shape {
  readonly around: readonly string[]
  /** After which of them the text stands. */
  readonly textAt: number
}

const mostTries = 4
// A short answer is read before it would pay.
const leastSeen = 5

/** What stands at `start` of a JSON text in which a string begins there, unless something in it is escaped. */
function plainTextAt(data: string, start: number): string | undefined {
  const end = data.indexOf('"', start)
  if (end < 0) return undefined
  for (let at = start; at < end; at++) {
    const code = data.charCodeAt(at)
    // A backslash, or what may not stand in a string of JSON.
    if (code === 92 || code < 32) return undefined
  }
  return data.slice(start, end)
}

/** `others` are members of the event that may be any text. */
function shapeOf(
  data: string,
  event: JsonObject,
  text: string,
  others: readonly string[],
): Shape | undefined {
  const places = [{ name: 'content', value: text as unknown }]
    .concat(others.map((name) => ({ name, value: event[name] })))
    .map(({ name, value }) => ({ name, start: valueAt(data, name, value), length: String(value).length }))
    .sort((one, other) => (one.start ?? 0) - (other.start ?? 0))
  const around: string[] = []
  let at = 0
  for (const { start, length } of places) {
    if (start === undefined || start < at) return undefined
    around.push(data.slice(at, start))
    at = start + length
  }
  around.push(data.slice(at))
  const shape = { around, textAt: places.findIndex(({ name }) => name === 'content') }
  return isShapeOf(shape, event, text, places) ? shape : undefined
}

/** Where the plain text `value` of the member `name` begins. */
function valueAt(data: string, name: string, value: unknown): number | undefined {
  const member = data.indexOf(`"${name}"`)
  const start = data.indexOf('"', member + name.length + 2) + 1
  return member >= 0 && start > 0 && plainTextAt(data, start) === value ? start : undefined
}

interface Choices {
  choices?: { delta?: { content?: string } }[]
}

/** With other texts in it, it is the same event with other texts: so it is for every plain text. */
function isShapeOf(
  { around }: Shape,
  event: JsonObject,
  text: string,
  places: readonly { readonly name: string }[],
): boolean {
  const swapped = parseJson(
    around.map((same, part) => same + (part < places.length ? `?${part}` : '')).join(''),
  )
  const expected = jsonCopy(event) as Record<string, unknown> & Choices // read below
  const delta = expected.choices?.[0]?.delta
  if (delta?.content !== text) return false
  for (const [part, { name }] of places.entries()) {
    if (name === 'content') delta.content = `?${part}`
    else expected[name] = `?${part}`
  }
  return JSON.stringify(swapped) === JSON.stringify(expected)
}
