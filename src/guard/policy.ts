import { ConfigurationError, shown } from '../errors.ts'
import type { ToolCall } from '../messages.ts'
import { type Check, either, filledText, fn, list, object, optional, positiveMs } from '../options.ts'

/**
 * Which tool calls are executed. `deny` wins over `confirm`, and `confirm` over `allow`; a call that no rule is for is
 * executed, unless there are `allow` rules. Asked before each execution, with the parameters that would be executed.
 */
export interface ToolPolicy {
  /** If given, nothing else is executed, but what `confirm` lets somebody approve. */
  readonly allow?: ToolRules
  /** Not executed; the model is told so. */
  readonly deny?: ToolRules
  /** Executed only when somebody approves: the run is suspended until then. */
  readonly confirm?: ToolRules
  /** Milliseconds within which a call has to be approved; afterwards it can only be denied. Default: no end. */
  readonly approvalTimeoutMs?: number
}

export type ToolRules = ToolRule | readonly ToolRule[]

/** A tool's name, which may end in `*` for all that begin so, or a function that says whether the rule is for this call. */
export type ToolRule = string | ((call: ToolCall, scope: PolicyScope) => boolean | Promise<boolean>)

/** In which run a call is made. */
export interface PolicyScope {
  readonly runId: string
  readonly conversationId: string
  /** The `context` of the run's options. */
  readonly context: unknown
}

export type Verdict = 'allow' | 'deny' | 'confirm'

/** What `policy` says of one call. Rejects with what a rule throws, and with a `ConfigurationError` for one that says neither. */
export async function judge(policy: ToolPolicy, call: ToolCall, scope: PolicyScope): Promise<Verdict> {
  if (await isFor(policy.deny, 'deny', call, scope)) return 'deny'
  if (await isFor(policy.confirm, 'confirm', call, scope)) return 'confirm'
  return policy.allow === undefined || (await isFor(policy.allow, 'allow', call, scope)) ? 'allow' : 'deny'
}

async function isFor(
  rules: ToolRules = [],
  name: string,
  call: ToolCall,
  scope: PolicyScope,
): Promise<boolean> {
  for (const rule of [rules].flat() as readonly ToolRule[]) {
    if (typeof rule === 'string') {
      const named = rule.endsWith('*') ? call.toolName.startsWith(rule.slice(0, -1)) : call.toolName === rule
      if (named) return true
      continue
    }
    const verdict: unknown = await rule(call, scope)
    // What is no answer is no permission either.
    if (typeof verdict !== 'boolean') {
      throw new ConfigurationError(
        `policy.${name}`,
        `A rule of policy.${name} must say true or false, got ${shown(verdict)}.`,
      )
    }
    if (verdict) return true
  }
  return false
}

const rule = either(filledText(), fn())
const rules: Check = optional(either(rule, list(rule)))

/** What an option has to be that takes a policy. */
export const policyCheck = object({
  allow: rules,
  deny: rules,
  confirm: rules,
  approvalTimeoutMs: optional(positiveMs()),
})
