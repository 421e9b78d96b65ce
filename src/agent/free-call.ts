import type { ToolCall, ToolResult } from '../messages.ts'
import type { PlannedCall } from '../transcript/next.ts'
import type { Run } from './run.ts'

/** What becomes of a planned call. */
export type Admission =
  | {
      readonly admit: 'execute'
      /** As it is executed. */
      readonly call: ToolCall
      /** Said to the model below its result. */
      readonly note?: string
    }
  | { readonly admit: 'answer'; readonly result: ToolResult }
  /** For somebody's decision. */
  | { readonly admit: 'wait' }

/** Nothing is known of the call, and nobody but the hooks has a say in it: so it is with most calls. */
export function isFree({ settings }: Run, plan: PlannedCall, exclusive: ToolCall | undefined): boolean {
  const { call, verdict, decision, started } = plan
  if (settings.toolPolicy || decision || started !== undefined) return false
  return verdict === 'run' && (!exclusive || exclusive.id === call.id)
}

export function admitFree(run: Run, { call }: PlannedCall): Admission | Promise<Admission> {
  if (!run.isHooked) return { admit: 'execute', call }
  return hookedCall(run, call).then((hooked) => ({ admit: 'execute', call: hooked }))
}

/** As the hooks leave it. Which call it is is not theirs to say. */
export async function hookedCall(run: Run, call: ToolCall): Promise<ToolCall> {
  return { ...(await run.hook('beforeTool', call)), id: call.id }
}
