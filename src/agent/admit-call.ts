import { messageOf } from '../errors.ts'
import { judge, type Verdict } from '../guard/policy.ts'
import type { ToolCall, ToolResult } from '../messages.ts'
import { unfitResult } from '../tools/execute.ts'
import type { Decision } from '../transcript/entry.ts'
import { type PlannedCall, repeatLevels } from '../transcript/next.ts'
import { askApproval } from './ask-approval.ts'
import { type Admission, hookedCall } from './free-call.ts'
import { notExecuted, type Refusal } from './refuse-call.ts'
import type { Run } from './run.ts'
import { settleUnknown } from './unknown-outcome.ts'

/** Whether a call is executed now, and as what: what was decided, what is known of it, the hooks and the policy have their say. */
export async function admitCall(
  run: Run,
  plan: PlannedCall,
  exclusive: ToolCall | undefined,
): Promise<Admission> {
  const { call, decision, started } = plan
  const refusal = refusalOf(plan, exclusive)
  const refused = refusal && ({ admit: 'answer', result: notExecuted(call, refusal) } as const)
  // Of one that was begun nobody knows that it was not executed.
  if (refused && started === undefined) return refused
  if (decision?.decision === 'deny') return denied(call, decision.reason)
  const checked = decision ? approvedCall(run, call, decision) : await hookedCall(run, call)
  const settled = started === undefined ? undefined : await settleUnknown(run, checked, started)
  if (settled) return { admit: 'answer', result: settled }
  if (refused) return refused
  if (decision) return admitApproved(run, checked, decision)
  const verdict = await verdictOn(run, checked)
  if (verdict === 'deny') return denied(checked)
  if (verdict === 'allow') return { admit: 'execute', call: checked }
  // Nobody is asked about what could not be executed: the model mends it first.
  const unfit = await run.wait(unfitResultOf(run, checked))
  if (unfit) return { admit: 'answer', result: unfit }
  await askApproval(run, checked)
  return { admit: 'wait' }
}

/** Why a planned call is not executed, whatever anyone decided. */
function refusalOf({ call, verdict }: PlannedCall, exclusive: ToolCall | undefined): Refusal | undefined {
  if (verdict === 'skip') {
    return { code: 'not_executed', message: 'Not executed: the run has used all its tool rounds.' }
  }
  if (verdict === 'block') {
    const message =
      `Not executed: "${call.toolName}" was called with these parameters ${repeatLevels.nudge} times and gave the same ` +
      'result each time. Use what you have, or try something else.'
    return { code: 'no_progress', message }
  }
  if (exclusive && exclusive.id !== call.id) {
    return {
      code: 'not_executed',
      message: `Not executed: "${exclusive.toolName}" runs alone. Call it again if you still need it.`,
    }
  }
  return undefined
}

function unfitResultOf(run: Run, call: ToolCall): Promise<ToolResult | undefined> {
  const { runId, conversation, context, signal, secrets, settings } = run
  return unfitResult(call, settings.registry, {
    runId,
    conversationId: conversation.id,
    context,
    signal,
    secrets,
    maxOutput: settings.maxToolOutput,
    onDiagnostic: (code, message) => run.diagnose(code, message),
  })
}

/** What was shown to who decided, or what they made of it; no hook changes it any more. */
function approvedCall(run: Run, call: ToolCall, decision: Exclude<Decision, { decision: 'deny' }>): ToolCall {
  const { toolName, parameters } = run.fold?.requested?.get(call.id) ?? call
  return {
    id: call.id,
    toolName,
    parameters: decision.decision === 'edit' ? decision.parameters : parameters,
  }
}

async function admitApproved(run: Run, call: ToolCall, { decision }: Decision): Promise<Admission> {
  // What the policy denies now stays denied, whoever approved it before.
  if ((await verdictOn(run, call)) === 'deny') return denied(call)
  if (decision !== 'edit') return { admit: 'execute', call }
  const note = `Called with other parameters, as somebody decided: ${JSON.stringify(call.parameters)}`
  return { admit: 'execute', call, note }
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
