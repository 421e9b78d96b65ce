import { isJsonObject, type JsonObject, type JsonValue } from '../json.ts'
import {
  checkFunctionName,
  emptyArray,
  firstOf,
  isGiven,
  isList,
  missing,
  refuse,
  tooMany,
  unknownKey,
  unsupported,
  words,
  wrongType,
} from './refusal.ts'
import type { Check, Refusal } from './strict-contract.ts'
import { checkSchema } from './strict-openai-schema.ts'

export function checkTools(tools: JsonValue | undefined): Check {
  if (!isGiven(tools)) return undefined
  if (!isList(tools)) return wrongType('tools', 'tools', 'an array of objects', tools)
  if (tools.length === 0) return emptyArray('tools', 'tools')
  if (tools.length > 128) return tooMany('tools', 'tools', 128, tools.length)
  const names = new Set<string>()
  return (
    firstOf(tools, (tool, index) => checkTool(tool, `tools[${index}]`)) ??
    firstOf(tools, (tool) => {
      const name = toolName(tool)
      if (name === undefined || !names.has(name)) {
        if (name !== undefined) names.add(name)
        return undefined
      }
      return refuse('duplicate_tool', `Tool names must be unique. Found duplicate tool name: '${name}'.`, {
        param: 'tools',
        code: 'invalid_value',
      })
    })
  )
}

function checkTool(tool: JsonValue, path: string): Check {
  if (!isJsonObject(tool)) return wrongType('tool', path, 'an object', tool)
  const { type, function: declared } = tool
  if (type === undefined) return missing('tool', `${path}.type`)
  if (type === 'custom') return undefined
  if (type !== 'function') return unsupported('tool', `${path}.type`, type, ['function', 'custom'])
  const badKey = unknownKey('tool_key', path, tool, words('type function'))
  if (badKey !== undefined) return badKey
  if (declared === undefined) return missing('tool', `${path}.function`)
  if (!isJsonObject(declared)) return wrongType('tool', `${path}.function`, 'an object', declared)
  const { name, description, parameters, strict } = declared
  return (
    unknownKey('tool_key', `${path}.function`, declared, words('name description parameters strict')) ??
    checkFunctionName('tool_name', `${path}.function.name`, name) ??
    (!isGiven(description) || typeof description === 'string'
      ? undefined
      : wrongType('tool_description', `${path}.function.description`, 'a string', description)) ??
    (!isGiven(strict) || typeof strict === 'boolean'
      ? undefined
      : wrongType('tool_strict', `${path}.function.strict`, 'a boolean', strict)) ??
    (isGiven(parameters)
      ? checkSchema(parameters, {
          rule: 'tool_schema',
          subject: `function '${name}'`,
          param: `${path}.function.parameters`,
          code: 'invalid_function_parameters',
          strict: strict === true,
        })
      : undefined)
  )
}

function toolName(tool: JsonValue): string | undefined {
  if (!isJsonObject(tool)) return undefined
  const declared = tool['function'] ?? tool['custom']
  const name = isJsonObject(declared) ? declared['name'] : undefined
  return typeof name === 'string' ? name : undefined
}

export function checkToolUse(body: JsonObject): Check {
  const { tools, tool_choice: choice, parallel_tool_calls: parallel } = body
  if (isGiven(choice)) {
    if (!isList(tools)) return onlyWithTools('tool_choice')
    const refusal = checkToolChoice(choice, tools)
    if (refusal !== undefined) return refusal
  }
  if (!isGiven(parallel)) return undefined
  if (!isList(tools)) return onlyWithTools('parallel_tool_calls')
  if (typeof parallel === 'boolean') return undefined
  return wrongType('parallel_tool_calls', 'parallel_tool_calls', 'a boolean', parallel)
}

function onlyWithTools(name: string): Refusal {
  return refuse(name, `Invalid value for '${name}': '${name}' is only allowed when 'tools' are specified.`, {
    param: name,
  })
}

function checkToolChoice(choice: JsonValue, tools: readonly JsonValue[]): Check {
  const modes = ['none', 'auto', 'required']
  if (typeof choice === 'string') {
    return modes.includes(choice) ? undefined : unsupported('tool_choice', 'tool_choice', choice, modes)
  }
  if (!isJsonObject(choice)) {
    return wrongType('tool_choice', 'tool_choice', "one of 'none', 'auto', 'required', or an object", choice)
  }
  const { type } = choice
  if (type === undefined) return missing('tool_choice', 'tool_choice.type')
  if (type === 'allowed_tools') return undefined
  if (type !== 'function' && type !== 'custom') {
    return unsupported('tool_choice', 'tool_choice.type', type, ['function', 'allowed_tools', 'custom'])
  }
  const name = toolName(choice)
  if (name === undefined) return missing('tool_choice', `tool_choice.${type}.name`)
  if (tools.some((tool) => toolName(tool) === name)) return undefined
  return refuse('tool_choice', `Invalid value for 'tool_choice': function '${name}' not found in 'tools'.`, {
    param: 'tool_choice',
  })
}
