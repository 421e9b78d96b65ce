import { isJsonObject, type JsonObject, jsonCopy } from '../json.ts'
import { type Check, type Checks, object, oneOf, optional, text, that } from '../options.ts'
import type { Decision } from '../transcript/entry.ts'

/** Decisions about calls, by their ids. */
export type Decisions = Readonly<Record<string, Decision>>

/** Lets a call be executed. With `seen`, the parameters that were shown to who decides: refused if the call's are others. */
export const approve = (seen?: JsonObject): Decision => ({
  decision: 'approve',
  ...(seen !== undefined && { parameters: seen }),
})

/** Does not let it be executed. The model is told, with the reason if there is one. */
export const deny = (reason?: string): Decision => ({
  decision: 'deny',
  ...(reason !== undefined && { reason }),
})

/** Lets it be executed with these parameters instead; the model is told. */
export const edit = (parameters: JsonObject): Decision => ({ decision: 'edit', parameters })

const parameters = that('an object of JSON', (value) => {
  try {
    return isJsonObject(value) && isJsonObject(jsonCopy(value))
  } catch {
    return false
  }
})

const shapes = new Map<unknown, Checks>([
  ['approve', { decision: oneOf('approve'), parameters: optional(parameters) }],
  ['deny', { decision: oneOf('deny'), reason: optional(text()) }],
  ['edit', { decision: oneOf('edit'), parameters }],
])

/** Each on its own: which calls they are about is known once the conversation is loaded. */
export const decisionsCheck: Check = {
  wanted: 'an object',
  find: (value, path) => {
    const fault = object().find(value, path)
    if (fault) return fault
    for (const [callId, decision] of Object.entries(value as object)) {
      const wrong = findWrong(decision, `${path}.${callId}`)
      if (wrong) return wrong
    }
    return undefined
  },
}

function findWrong(value: unknown, path: string) {
  const shape = shapes.get(isJsonObject(value) ? value['decision'] : undefined)
  if (shape) return object(shape).find(value, path)
  return { path, says: 'must be approve(), deny(reason) or edit(parameters)', value }
}
