import { inspect } from 'node:util'

/** How a value may turn up in other text. */
export const encodings = {
  plain: (value: string) => value,
  json: (value: string) => JSON.stringify({ value }),
  url: (value: string) => `https://example.com/?key=${encodeURIComponent(value)}&x=1`,
  hex: (value: string) => Buffer.from(value).toString('hex'),
  base64: (value: string) => Buffer.from(value).toString('base64'),
  'base64, one byte in': (value: string) => Buffer.from(`:${value}:`).toString('base64'),
  'base64, two bytes in': (value: string) => Buffer.from(`u:${value}@`).toString('base64'),
  base64url: (value: string) => Buffer.from(`id.${value}`).toString('base64url'),
} as const

export type Encoding = keyof typeof encodings

export const encodingNames = Object.keys(encodings) as Encoding[] // a plain object

/** Where `value` can be seen in `subject`, in any spelling: none, if it is well hidden. */
export function leaks(value: string, subject: unknown): string[] {
  const wanted = traces(value.trim())
  return [...textsOf(subject)].flatMap((text) => {
    const trace = wanted.find((spelling) => text.includes(spelling))
    return trace === undefined ? [] : [`${JSON.stringify(trace)} in ${shown(text, trace)}`]
  })
}

/** What of a value is there whatever stands around it. */
function traces(value: string): string[] {
  const bytes = Buffer.from(value)
  const base64 = [0, 1, 2].map((before) => {
    const whole = Buffer.concat([Buffer.alloc(before), bytes]).toString('base64')
    return whole.slice(Math.ceil((before * 8) / 6), Math.floor(((before + bytes.length) * 8) / 6))
  })
  return [
    value,
    JSON.stringify(value).slice(1, -1),
    JSON.stringify(JSON.stringify(value).slice(1, -1)).slice(1, -1),
    encodeURIComponent(value),
    encodeURIComponent(value).replaceAll('%20', '+'),
    bytes.toString('hex'),
    bytes.toString('hex').toUpperCase(),
    ...base64,
    ...base64.map((text) => text.replaceAll('+', '-').replaceAll('/', '_')),
  ]
}

/** Everything that a look at `subject` can show: each text in it, errors with all they hold, and how it is printed. */
function* textsOf(subject: unknown, seen = new Set<unknown>()): Generator<string> {
  if (typeof subject === 'string') yield subject
  if (typeof subject !== 'object' || subject === null || seen.has(subject)) return
  if (seen.size === 0) {
    yield inspect(subject, { depth: 20, maxArrayLength: null, maxStringLength: null, showHidden: true })
    yield JSON.stringify(subject) ?? ''
  }
  seen.add(subject)
  for (const key of Reflect.ownKeys(subject)) {
    yield String(key)
    yield* textsOf(Reflect.get(subject, key), seen)
  }
}

function shown(text: string, trace: string): string {
  const at = text.indexOf(trace)
  return JSON.stringify(text.slice(Math.max(0, at - 60), at + trace.length + 20))
}
