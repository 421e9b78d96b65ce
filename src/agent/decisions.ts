import type { JsonObject } from '../json.ts'
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
