import type { ToolDefinition } from '../client/client.ts'
import { ConfigurationError, DuplicateToolError, messageOf, ToolNotFoundError } from '../errors.ts'
import type { JsonSchema } from '../json.ts'
import type { ToolResult } from '../messages.ts'
import { checkMembers, didYouMean, that } from '../options.ts'
import { planToolName } from '../protocol/protocol.ts'
import type { SecretEntry } from '../secret.ts'
import { checkTool, parametersSchema, type ToolSchemas } from './define.ts'
import type { MadeCall } from './dispatch.ts'
import type { ExecutionScope, ToolSource } from './execute.ts'
import type { RegisteredTool } from './input.ts'
import type { Tool } from './tool.ts'
import { configIssues, isToolSet, refuseVisibleSecrets, type ToolSet, toolSetAccess } from './toolset.ts'

/** A set of tools as it is described to a model. */
export interface ToolSetDescription {
  readonly name: string
  readonly description: string
  /** The names of those of its tools that are registered. */
  readonly tools: readonly string[]
}

/** What `find` looks for; a tool must fit all that is given. */
export interface ToolQuery {
  /** The name of a set. */
  readonly toolset?: string
  readonly tag?: string
  /** Part of the name, the description or a tag, in any case. */
  readonly query?: string
}

/** All tools of an agent by name, in the order in which they were registered. */
export class ToolRegistry implements Iterable<Tool>, ToolSource {
  readonly #tools = new Map<string, RegisteredTool>()
  readonly #toolsets = new Map<string, ToolSet>()
  #definitions: Promise<readonly ToolDefinition[]> | undefined
  #known: readonly ToolDefinition[] | undefined

  get size(): number {
    return this.#tools.size
  }

  [Symbol.iterator](): Iterator<Tool> {
    return this.list()[Symbol.iterator]()
  }

  /**
   * Adds a tool that needs no hidden config. With `replace`, it takes the place of one of the same name, also in a set.
   *
   * @throws DuplicateToolError, ConfigurationError, InvalidToolSchemaError.
   */
  register(tool: Tool, options: { replace?: boolean } = {}): void {
    const registered = { name: tool?.name, tool, schemas: checkTool(tool) }
    this.#refuse(registered.name, options.replace === true)
    refuseNeedOfConfig(registered.name, registered.schemas)
    this.#tools.set(registered.name, Object.freeze(registered))
    this.#forget()
  }

  /** @throws ToolNotFoundError if there is no such tool. */
  unregister(name: string): void {
    if (!this.#tools.delete(name)) throw new ToolNotFoundError(name, this.names())
    this.#forget()
  }

  /**
   * Adds a set and all its tools, or none of them. With `replace`, they take the places of tools of the same names, and
   * a set of the same name is unregistered first.
   *
   * @throws DuplicateToolError, ConfigurationError.
   */
  registerToolset(toolset: ToolSet, options: { replace?: boolean } = {}): void {
    checkMembers('registerToolset()', { toolset }, { toolset: that('a ToolSet', isToolSet) })
    const replace = options.replace === true
    if (this.#toolsets.has(toolset.name) && !replace) {
      throw new ConfigurationError(
        'toolset',
        `A tool set named "${toolset.name}" is registered already. Rename one of them, or register it with { replace: true }.`,
      )
    }
    const { schemasOf } = toolSetAccess(toolset)
    const added = toolset.tools.map((tool) => ({
      name: tool.name,
      tool,
      toolset,
      schemas: schemasOf(tool) ?? checkTool(tool),
    }))
    for (const { name } of added) this.#refuse(name, replace)
    if (this.#toolsets.has(toolset.name)) this.unregisterToolset(toolset.name)
    for (const registered of added) this.#tools.set(registered.name, Object.freeze(registered))
    this.#toolsets.set(toolset.name, toolset)
    this.#forget()
  }

  /**
   * Removes a set and those tools that came with it; one that has taken the name of such a tool since stays.
   *
   * @throws ConfigurationError if there is no such set.
   */
  unregisterToolset(name: string): void {
    const toolset = this.#toolsets.get(name)
    if (!toolset) {
      const meant = didYouMean(name, this.#toolsets.keys())
      const cure = meant === undefined ? '' : ` Did you mean "${meant}"?`
      const known = this.listToolsets().join(', ') || 'none'
      throw new ConfigurationError('toolset', `There is no tool set "${name}". Registered: ${known}.${cure}`)
    }
    for (const { name: toolName } of this.#ownedBy(toolset)) this.#tools.delete(toolName)
    this.#toolsets.delete(name)
    this.#forget()
  }

  #forget(): void {
    this.#definitions = undefined
    this.#known = undefined
  }

  get(name: string): Tool | undefined {
    return this.#tools.get(name)?.tool
  }

  has(name: string): boolean {
    return this.#tools.has(name)
  }

  names(): string[] {
    return [...this.#tools.keys()]
  }

  list(): Tool[] {
    return [...this.#tools.values()].map(({ tool }) => tool)
  }

  listToolsets(): string[] {
    return [...this.#toolsets.keys()]
  }

  toolsets(): ToolSetDescription[] {
    return [...this.#toolsets.values()].map((toolset) => ({
      name: toolset.name,
      description: toolset.description,
      tools: this.#ownedBy(toolset).map(({ name }) => name),
    }))
  }

  find({ toolset, tag, query }: ToolQuery = {}): Tool[] {
    const wanted = query?.toLowerCase()
    const fits = (registered: RegisteredTool): boolean => {
      const { description, tags = [] } = registered.tool
      if (toolset !== undefined && registered.toolset?.name !== toolset) return false
      if (tag !== undefined && !tags.includes(tag)) return false
      return (
        wanted === undefined ||
        [registered.name, description, ...tags].some((text) => text.toLowerCase().includes(wanted))
      )
    }
    return [...this.#tools.values()].filter(fits).map(({ tool }) => tool)
  }

  /**
   * What a model is told of the tools: plain, frozen JSON. The very same array until tools come or go.
   *
   * @throws InvalidToolSchemaError, MissingPackageError, ConfigurationError (as rejections) for what could not be checked
   * when the tool was registered, because its schema takes a package that is loaded on first use.
   */
  definitions(): Promise<readonly ToolDefinition[]> {
    if (this.#definitions === undefined) {
      const definitions = Promise.all([...this.#tools.values()].map(definitionOf)).then((all) => {
        const frozen = Object.freeze(all)
        if (this.#definitions === definitions) this.#known = frozen
        return frozen
      })
      this.#definitions = definitions
      definitions.catch(() => {
        // The package may be there next time.
        if (this.#definitions === definitions) this.#forget()
      })
    }
    return this.#definitions
  }

  /** The definitions, once they were asked for and are there: what an agent asks for before each call. */
  get known(): readonly ToolDefinition[] | undefined {
    return this.#known
  }

  /** What must not be shown of the configs of all sets, as they are now. A config that is a function has none yet. */
  secrets(): readonly SecretEntry[] {
    return [...this.#toolsets.values()].flatMap((toolset) => toolSetAccess(toolset).static().secrets)
  }

  /** A tool with all that running it takes. */
  resolve(name: string): RegisteredTool | undefined {
    return this.#tools.get(name)
  }

  /**
   * Runs one call outside of any agent, by the tools that are registered once what runs calls is loaded. Never rejects and
   * never throws: what goes wrong is in the result.
   * `scope` says what an agent would; its defaults are a real clock, no limit of time, 50,000 code points of output.
   */
  async dispatch(call: MadeCall, scope: Partial<ExecutionScope> = {}): Promise<ToolResult> {
    try {
      const { dispatchCall } = await import('./dispatch.ts')
      return await dispatchCall(call, this, this.secrets(), scope)
    } catch (thrown) {
      const message = messageOf(thrown)
      return {
        callId: String(call?.id ?? ''),
        toolName: String(call?.toolName),
        ok: false,
        output: `Error: ${message}`,
        error: { code: 'unexpected', message },
        durationMs: 0,
      }
    }
  }

  #ownedBy(toolset: ToolSet): RegisteredTool[] {
    return [...this.#tools.values()].filter((registered) => registered.toolset === toolset)
  }

  #refuse(name: string, replace: boolean): void {
    if (name === planToolName) {
      throw new ConfigurationError(
        'name',
        `The tool name "${planToolName}" is reserved: models declare their plan by it. Rename the tool.`,
      )
    }
    if (!replace && this.#tools.has(name)) throw new DuplicateToolError(name)
  }
}

function refuseNeedOfConfig(toolName: string, { config }: ToolSchemas): void {
  const checked = config?.validate({})
  if (checked === undefined || checked instanceof Promise || checked.ok) return
  throw new ConfigurationError(
    'config',
    `The tool "${toolName}" needs a hidden config (${configIssues(checked.issues)}). ` +
      'Register it in a ToolSet: new ToolSet({ name, description, tools: [tool], config }).',
  )
}

async function definitionOf({ name, tool, schemas, toolset }: RegisteredTool): Promise<ToolDefinition> {
  const parameters: JsonSchema = await parametersSchema(name, schemas.parameters)
  if (toolset) {
    const { names } = await schemas.parameters.keys()
    refuseVisibleSecrets(name, names, toolSetAccess(toolset).static().sealedKeys)
  }
  return Object.freeze({ name, description: tool.description, parameters })
}
