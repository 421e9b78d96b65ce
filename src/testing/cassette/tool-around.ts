import type { Tool, ToolContext } from '../../tools/tool.ts'

/** The same tool, executed otherwise. A plain object, because the tool may be frozen or keep private state. */
export function toolAround<Input>(
  tool: Tool<Input>,
  execute: (input: Input, context: ToolContext) => unknown,
  changes: Pick<Tool, 'formatOutput'> = {},
): Tool<Input> {
  const { name, description, parameters, formatOutput } = tool
  const settings = optionalSettings.map((key) => [key, tool[key]] as const)
  return {
    name,
    description,
    parameters,
    ...Object.fromEntries(settings.filter(([, value]) => value !== undefined)),
    ...(formatOutput && { formatOutput: (output: unknown) => formatOutput.call(tool, output) }),
    ...changes,
    execute,
  }
}

const optionalSettings = [
  'config',
  'effect',
  'timeoutMs',
  'serial',
  'exclusive',
  'repeatable',
  'retry',
  'maxOutput',
  'tags',
] as const satisfies readonly (keyof Tool)[]
