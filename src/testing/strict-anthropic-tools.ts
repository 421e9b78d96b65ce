import { isJsonObject, type JsonObject, type JsonValue } from '../json.ts'
import { extraKey, refuseMessage, required, unknownTag, wrongInput } from './anthropic-refusal.ts'
import { firstOf, isGiven, isList, words } from './refusal.ts'
import { checkName } from './strict-anthropic-blocks.ts'
import type { Check } from './strict-contract.ts'

export function checkTools(tools: JsonValue | undefined): Check {
  if (!isGiven(tools)) return undefined
  if (!isList(tools)) return wrongInput('tools', 'tools', 'a valid list')
  const names = new Set<JsonValue>()
  return firstOf(tools, (tool, at) => {
    if (!isJsonObject(tool)) return wrongInput('tools', `tools.${at}`, 'an object')
    const { type, name } = tool
    // The others are tools of the server, which know their own parameters.
    const isOurs = !isGiven(type) || type === 'custom'
    const refusal = isOurs ? checkTool(tool, `tools.${at}.custom`) : undefined
    if (refusal !== undefined || name === undefined) return refusal
    if (names.has(name)) return refuseMessage('duplicate_tool', 'tools: Tool names must be unique.')
    names.add(name)
    return undefined
  })
}

const toolKeys = words(`
  name input_schema description type cache_control strict defer_loading allowed_callers eager_input_streaming
  input_examples`)

function checkTool(tool: JsonObject, path: string): Check {
  const { name, description, input_schema: schema, strict } = tool
  return (
    checkName('tool_name', `${path}.name`, name, 64) ??
    checkSchema(schema, `${path}.input_schema`) ??
    (isGiven(description) && typeof description !== 'string'
      ? wrongInput('tool_description', `${path}.description`, 'a valid string')
      : undefined) ??
    (strict === true && isJsonObject(schema) && schema['additionalProperties'] !== false
      ? refuseMessage(
          'tool_strict',
          `${path}: For 'object' type, 'additionalProperties' must be explicitly set to false`,
        )
      : undefined) ??
    extraKey('tool_key', path, tool, toolKeys)
  )
}

function checkSchema(schema: JsonValue | undefined, path: string): Check {
  if (schema === undefined) return required('tool_schema', path)
  if (!isJsonObject(schema)) return wrongInput('tool_schema', path, 'a valid dictionary')
  if (schema['type'] === undefined) return required('tool_schema', `${path}.type`)
  return schema['type'] === 'object' ? undefined : wrongInput('tool_schema', `${path}.type`, "'object'")
}

const choices = ['auto', 'any', 'tool', 'none']

/** What is said of tools beside their list. */
export function checkToolUse({
  tools,
  tool_choice: choice,
  messages,
  mcp_servers: servers,
}: JsonObject): Check {
  const offered = isList(tools) ? tools : []
  return (
    checkChoice(choice, offered) ??
    (offered.length === 0 && !isGiven(servers) && hasToolBlocks(messages)
      ? refuseMessage(
          'tools_required',
          'Requests which include `tool_use` or `tool_result` blocks must define tools.',
        )
      : undefined)
  )
}

function checkChoice(choice: JsonValue | undefined, offered: readonly JsonValue[]): Check {
  if (!isGiven(choice)) return undefined
  if (!isJsonObject(choice)) return wrongInput('tool_choice', 'tool_choice', 'an object')
  const { type, name } = choice
  if (!choices.includes(String(type))) return unknownTag('tool_choice', 'tool_choice', type, choices)
  const keys = type === 'none' ? 'type' : 'type disable_parallel_tool_use'
  const extra = extraKey(
    'tool_choice',
    `tool_choice.${type}`,
    choice,
    words(type === 'tool' ? `${keys} name` : keys),
  )
  if (extra !== undefined) return extra
  if (type === 'tool' && !offered.some((tool) => isJsonObject(tool) && tool['name'] === name)) {
    return refuseMessage('tool_choice', `Tool '${name}' not found in provided tools`)
  }
  if (type !== 'any' || offered.length > 0) return undefined
  return refuseMessage('tool_choice', `tool_choice.${type} may only be specified while providing tools`)
}

function hasToolBlocks(messages: JsonValue | undefined): boolean {
  return (isList(messages) ? messages : []).some((message) => {
    const content = isJsonObject(message) ? message['content'] : undefined
    return (
      isList(content) &&
      content.some(
        (block) => isJsonObject(block) && (block['type'] === 'tool_use' || block['type'] === 'tool_result'),
      )
    )
  })
}
