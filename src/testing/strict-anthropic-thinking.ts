import { isJsonObject, type JsonObject, type JsonValue } from '../json.ts'
import { refuseMessage, required, wrongInput } from './anthropic-refusal.ts'
import { isGiven, isList } from './refusal.ts'
import type { Check } from './strict-contract.ts'

const modes = ['enabled', 'disabled', 'adaptive', 'between_tools']

/** What extended thinking asks of the rest of a request. */
export function checkThinking(body: JsonObject): Check {
  const { thinking } = body
  if (!isGiven(thinking)) return undefined
  if (!isJsonObject(thinking)) return wrongInput('thinking_mode', 'thinking', 'an object')
  const { type, budget_tokens: budget } = thinking
  if (!modes.includes(String(type))) {
    return wrongInput('thinking_mode', 'thinking.type', modes.map((mode) => `'${mode}'`).join(', '))
  }
  if (type !== 'enabled') return undefined
  return (
    checkBudget(budget, body['max_tokens']) ??
    checkWithThinking(body) ??
    checkKept(isList(body['messages']) ? body['messages'] : [])
  )
}

const help = 'https://docs.claude.com/en/docs/build-with-claude/extended-thinking'

function checkBudget(budget: JsonValue | undefined, maxTokens: JsonValue | undefined): Check {
  const path = 'thinking.enabled.budget_tokens'
  if (!Number.isInteger(budget)) return required('thinking_budget', path)
  if (Number(budget) < 1024) return wrongInput('thinking_budget', path, 'greater than or equal to 1024')
  if (Number(maxTokens) > Number(budget)) return undefined
  return refuseMessage(
    'thinking_budget',
    '`max_tokens` must be greater than `thinking.budget_tokens`. Please consult our documentation at ' +
      `${help}#max-tokens-and-context-window-size`,
  )
}

function checkWithThinking({ temperature, tool_choice: choice, messages }: JsonObject): Check {
  if (temperature !== undefined && temperature !== 1) {
    return refuseMessage(
      'thinking_temperature',
      '`temperature` may only be set to 1 when thinking is enabled.',
    )
  }
  if (isJsonObject(choice) && (choice['type'] === 'any' || choice['type'] === 'tool')) {
    return refuseMessage(
      'thinking_tool_choice',
      'Thinking may not be enabled when tool_choice forces tool use.',
    )
  }
  const last = isList(messages) ? messages.at(-1) : undefined
  if (!isJsonObject(last) || last['role'] !== 'assistant') return undefined
  return refuseMessage(
    'thinking_prefill',
    'messages: when `thinking` is enabled the final message must not be a pre-filled `assistant` message.',
  )
}

/** The calls whose results come last still have the thinking that led to them. */
function checkKept(messages: readonly JsonValue[]): Check {
  const index = messages.findLastIndex((message) => isJsonObject(message) && message['role'] === 'assistant')
  const isOpen = messages.slice(index + 1).every((message) => blocksOf(message).some(isOfType('tool_result')))
  const blocks = blocksOf(messages[index])
  const [first] = blocks
  if (index < 0 || !isOpen || !blocks.some(isOfType('tool_use')) || first === undefined) return undefined
  if (isOfType('thinking')(first) || isOfType('redacted_thinking')(first)) return undefined
  return refuseMessage(
    'thinking_kept',
    `messages.${index}.content.0.type: Expected \`thinking\` or \`redacted_thinking\`, but found \`${first['type']}\`. ` +
      'When `thinking` is enabled, a final `assistant` message must start with a thinking block (preceeding the ' +
      'lastmost set of `tool_use` and `tool_result` blocks). We recommend you include thinking blocks from previous ' +
      'turns. To avoid this requirement, disable `thinking`. Please consult our documentation at ' +
      help,
  )
}

function blocksOf(message: JsonValue | undefined): readonly JsonObject[] {
  const content = isJsonObject(message) ? message['content'] : undefined
  return isList(content) ? content.filter(isJsonObject) : []
}

function isOfType(type: string): (block: JsonObject) => boolean {
  return (block) => block['type'] === type
}
