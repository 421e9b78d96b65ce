import type { Hooks } from '../../agent/hooks.ts'
import { ConfigurationError, type ErrorInfo, FatalToolError } from '../../errors.ts'
import type { ToolResult } from '../../messages.ts'
import { type Tool, type ToolContext, toolError, toolResult } from '../../tools/tool.ts'
import { toolAround } from '../cassette/tool-around.ts'
import type { Passage } from './runs.ts'

/** Tools that do nothing: each call has the result that was recorded. */
export class ReplayTools {
  readonly #made = new Set<unknown>()
  readonly #executed = new Set<string>()
  readonly #results = new Map<string, ToolResult>()
  #ended: ErrorInfo | undefined

  begin({ entries, run }: Passage): void {
    this.#ended = run?.ended.error
    this.#executed.clear()
    this.#results.clear()
    for (const entry of entries) {
      if (entry.type === 'tool_finished') this.#results.set(entry.result.callId, entry.result)
    }
  }

  readonly tool = <Input>(tool: Tool<Input>): Tool<Input> => {
    const execute = (_: Input, { callId }: ToolContext) => {
      this.#executed.add(callId)
      return this.#formOf(callId)
    }
    const made = toolAround(tool, execute, { formatOutput: (form) => (form as Form).text }) // what `#formOf` gave
    this.#made.add(made)
    return made
  }

  readonly hooks: Hooks = {
    afterTool: (result) => {
      const recorded = this.#results.get(result.callId)
      if (!recorded) return undefined
      // What the agent says by itself, of a tool that does not exist, say, is its own; how long it took is not.
      if (!this.#executed.has(result.callId)) return { ...result, durationMs: recorded.durationMs }
      return { ...nothing, ...recorded } as ToolResult // but for members that are undefined, it is one
    },
  }

  /** @throws ConfigurationError for a tool that would be executed. */
  refuseOthers(tools: Iterable<Tool>): void {
    for (const tool of tools) {
      if (this.#made.has(tool)) continue
      throw new ConfigurationError(
        'tools',
        `A replay executes no tools, and "${tool.name}" would be: give the agent tool(${tool.name}) instead, ` +
          'by the second argument of the function that makes it.',
      )
    }
  }

  /**
   * Something from which a result is made that has all members of the recorded one, and in their order: what they are
   * is said by the hook. A text that was cut is longer than what it was cut to, and so is cut again.
   */
  #formOf(callId: string): unknown {
    const { ok, output = '', error } = this.#results.get(callId) ?? {}
    if (error && error.code === this.#ended?.code && error.code === 'fatal_tool') {
      throw new FatalToolError(this.#ended.message)
    }
    const form: Form = { text: output }
    return ok ? toolResult(form, { metadata: {} }) : toolError(error?.message ?? '', { metadata: {} })
  }
}

interface Form {
  readonly text: string
}

/** What a result may have and this one does not; in JSON it is not there. */
const nothing = { data: undefined, error: undefined, truncated: undefined, metadata: undefined }
