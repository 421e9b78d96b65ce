import type { JsonSchema, JsonValue } from '../json.ts'

/** What a reference within a schema points to: `#`, `#/$defs/node`. `undefined` for any other reference. */
export function resolveRef(root: JsonSchema, ref: string): JsonValue | undefined {
  if (ref !== '#' && !ref.startsWith('#/')) return undefined
  return pointerSegments(ref).reduce<JsonValue | undefined>(step, root)
}

export function pointerSegments(pointer: string): string[] {
  return pointer
    .split('/')
    .slice(1)
    .map((segment) => decoded(segment).replaceAll('~1', '/').replaceAll('~0', '~'))
}

/** The own member of that name, if there is one. */
export function step(value: JsonValue | undefined, segment: string): JsonValue | undefined {
  if (typeof value !== 'object' || value === null || !Object.hasOwn(value, segment)) return undefined
  return Reflect.get(value, segment) as JsonValue // an own member of JSON is JSON
}

function decoded(segment: string): string {
  try {
    return decodeURIComponent(segment)
  } catch {
    return segment
  }
}
