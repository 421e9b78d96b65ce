import { messageOf } from '../errors.ts'
import { judge, type Verdict } from '../guard/policy.ts'
import type { ToolCall, ToolResult } from '../messages.ts'
import type { Decision } from '../transcript/entry.ts'
import type { PlannedCall } from '../transcript/next.ts'
import { askApproval } from './ask-approval.ts'
import { notExecuted, refusalOf } from './refuse-call.ts'
import type { Run } from './run.ts'
import { settleUnknown } from './unknown-outcome.ts'

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

/** Whether a call is executed now, and as what: what was decided, what is known of it, the hooks and the policy have their say. */
export async function admitCall(
  run: Run,
  plan: PlannedCall,
  exclusive: ToolCall | undefined,
): Promise<Admission> {
  const { call, decision, started } = plan
  const refusal = refusalOf(plan, exclusive)
  if (refusal) return { admit: 'answer', result: notExecuted(call, refusal) }
  if (decision?.decision === 'deny') return denied(call, decision.reason)
  const settled = started === undefined ? undefined : await settleUnknown(run, call, started)
  if (settled) return { admit: 'answer', result: settled }
  if (decision) return decided(run, call, decision)
  // Which call it is is not theirs to say.
  const checked = { ...(await run.hook('beforeTool', call)), id: call.id }
  const verdict = await verdictOn(run, checked)
  if (verdict === 'deny') return denied(checked)
  if (verdict === 'allow') return { admit: 'execute', call: checked }
  await askApproval(run, checked)
  return { admit: 'wait' }
}

/** Executes what was shown to who decided, or what they made of it; no hook changes it any more. */
async function decided(
  run: Run,
  call: ToolCall,
  decision: Exclude<Decision, { decision: 'deny' }>,
): Promise<Admission> {
  const { toolName, parameters } = run.fold?.requested.get(call.id) ?? call
  const isEdited = decision.decision === 'edit'
  const checked = { id: call.id, toolName, parameters: isEdited ? decision.parameters : parameters }
  // What the policy denies now stays denied, whoever approved it before.
  if ((await verdictOn(run, checked)) === 'deny') return denied(checked)
  if (!isEdited) return { admit: 'execute', call: checked }
  const note = `Executed with other parameters, as somebody decided: ${JSON.stringify(checked.parameters)}`
  return { admit: 'execute', call: checked, note }
}

function denied(call: ToolCall, reason?: string): Admission {
  const message =
    `Not executed: this call of "${call.toolName}" was denied.${reason ? ` ${reason}` : ''} ` +
    'Do not repeat it as it is.'
  return { admit: 'answer', result: notExecuted(call, { code: 'denied', message }) }
}

/** A policy that cannot say yes says no. */
async function verdictOn(run: Run, call: ToolCall): Promise<Verdict> {
  const { toolPolicy, registry } = run.settings
  // One that cannot be executed is answered with the reason: nobody is asked about it.
  if (!toolPolicy || call.invalid !== undefined || !registry.has(call.toolName)) return 'allow'
  const { runId, conversation, context } = run
  try {
    return await run.wait(judge(toolPolicy, call, { runId, conversationId: conversation.id, context }))
  } catch (error) {
    run.signal.throwIfAborted()
    run.diagnose(
      'policy_failed',
      `The policy failed, so ${call.toolName} is not executed: ${messageOf(error)}`,
    )
    return 'deny'
  }
}
