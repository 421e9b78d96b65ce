import type { JsonSchema, JsonValue } from '../json.ts'

/** What a reference within a schema points to: `#`, `#/$defs/node`. `undefined` for any other reference. */
export function resolveRef(root: JsonSchema, ref: string): JsonValue | undefined {
  if (ref === '#') return root
  return ref.startsWith('#/') ? step(root, pointerSegments(ref)) : undefined
}

/** The value at a keyword's location such as `#/properties/a/$ref/enum`, references followed on the way. */
export function keywordAt(root: JsonSchema, location: string): JsonValue | undefined {
  let value: JsonValue | undefined = root
  for (const segment of pointerSegments(location)) {
    value = step(value, [segment])
    if (segment === '$ref' && typeof value === 'string') value = resolveRef(root, value)
  }
  return value
}

export function pointerSegments(pointer: string): string[] {
  return pointer
    .split('/')
    .slice(1)
    .map((segment) => decoded(segment).replaceAll('~1', '/').replaceAll('~0', '~'))
}

function decoded(segment: string): string {
  try {
    return decodeURIComponent(segment)
  } catch {
    return segment
  }
}

function step(start: JsonValue | undefined, segments: readonly string[]): JsonValue | undefined {
  let value = start
  for (const segment of segments) {
    if (typeof value !== 'object' || value === null || !Object.hasOwn(value, segment)) return undefined
    value = Reflect.get(value, segment) as JsonValue // an own member of JSON is JSON
  }
  return value
}
