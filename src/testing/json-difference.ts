import { canonicalJson, isJsonObject, type JsonValue, wellFormed } from '../json.ts'

/** One place in which two JSON values differ. A side that has nothing there is absent. */
export interface JsonDifference {
  /** Such as `$.messages[0].content`; `$` is the whole value. */
  readonly path: string
  readonly expected?: JsonValue
  readonly actual?: JsonValue
}

/** Where two JSON values differ, as deep as both go. The order of members is no difference. */
export function* jsonDifferences(
  expected: JsonValue | undefined,
  actual: JsonValue | undefined,
  path = '$',
): Generator<JsonDifference, void, undefined> {
  if (isJsonObject(expected) && isJsonObject(actual)) {
    for (const key of new Set([...Object.keys(expected), ...Object.keys(actual)])) {
      yield* jsonDifferences(own(expected, key), own(actual, key), `${path}${member(key)}`)
    }
    return
  }
  if (Array.isArray(expected) && Array.isArray(actual)) {
    for (let index = 0; index < Math.max(expected.length, actual.length); index += 1) {
      yield* jsonDifferences(expected[index], actual[index], `${path}[${index}]`)
    }
    return
  }
  if (jsonText(expected) === jsonText(actual)) return
  yield { path, ...(expected !== undefined && { expected }), ...(actual !== undefined && { actual }) }
}

/** Both sides as JSON text, cut to what is around the first place in which they differ. */
export function differingTexts({ expected, actual }: JsonDifference): { expected: string; actual: string } {
  const [one, other] = [jsonText(expected), jsonText(actual)]
  let at = 0
  while (at < one.length && one[at] === other[at]) at += 1
  return { expected: around(one, at), actual: around(other, at) }
}

const before = 30
const most = 100

function around(text: string, at: number): string {
  if (text.length <= most) return text
  const from = Math.max(0, Math.min(at - before, text.length - most))
  const piece = wellFormed(text.slice(from, from + most))
  return `${from > 0 ? '…' : ''}${piece}${from + most < text.length ? '…' : ''}`
}

const jsonText = (value: JsonValue | undefined): string =>
  value === undefined ? 'nothing' : canonicalJson(value)

const member = (key: string): string =>
  /^[A-Za-z_$][\w$]*$/.test(key) ? `.${key}` : `[${JSON.stringify(key)}]`

const own = (value: { readonly [key: string]: JsonValue }, key: string): JsonValue | undefined =>
  Object.hasOwn(value, key) ? value[key] : undefined
