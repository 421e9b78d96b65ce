import type { Hooks } from '../../agent/hooks.ts'
import { ConfigurationError, type ErrorInfo, FatalToolError } from '../../errors.ts'
import type { ToolResult } from '../../messages.ts'
import { type Tool, type ToolContext, toolError, toolResult } from '../../tools/tool.ts'
import type { Entry } from '../../transcript/entry.ts'
import { toolAround } from '../cassette/tool-around.ts'
import type { Passage } from './runs.ts'

/** Tools that do nothing: each call has the result that was recorded, at its place in the transcript. */
export class ReplayTools {
  readonly #reached: (length: number) => Promise<void>
  readonly #made = new Set<unknown>()
  readonly #executed = new Set<string>()
  readonly #starts = new Map<string, number>()
  readonly #finishes = new Map<string, { readonly position: number; readonly result: ToolResult }>()

  #ended: ErrorInfo | undefined

  /** `reached` waits until the transcript has so many entries. */
  constructor(reached: (length: number) => Promise<void>) {
    this.#reached = reached
  }

  begin({ position, entries, run }: Passage): void {
    this.#ended = run?.ended.error
    this.#executed.clear()
    this.#starts.clear()
    this.#finishes.clear()
    for (const [index, entry] of entries.entries()) this.#learn(entry, position + index)
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
    beforeTool: async ({ id }) => {
      await this.#reached(this.#starts.get(id) ?? 0)
    },
    afterTool: async (result) => {
      const finish = this.#finishes.get(result.callId)
      if (!finish) return undefined
      await this.#reached(finish.position)
      // What the agent says by itself, of a tool that does not exist, say, is its own; how long it took is not.
      if (!this.#executed.has(result.callId)) return { ...result, durationMs: finish.result.durationMs }
      return { ...nothing, ...finish.result } as ToolResult // but for members that are undefined, it is one
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

  #learn(entry: Entry, position: number): void {
    if (entry.type === 'tool_started') this.#starts.set(entry.callId, position)
    if (entry.type === 'tool_finished') {
      this.#finishes.set(entry.result.callId, { position, result: entry.result })
    }
  }

  /**
   * Something from which a result is made that has all members of the recorded one, and in their order: what they are
   * is said by the hook. A text that was cut is longer than what it was cut to, and so is cut again.
   */
  #formOf(callId: string): unknown {
    const { ok, output = '', error } = this.#finishes.get(callId)?.result ?? {}
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
