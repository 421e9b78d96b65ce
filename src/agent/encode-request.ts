import type { LLMClient, LLMRequest } from '../client/client.ts'
import { ConfigurationError, shown } from '../errors.ts'
import type { ContextReport } from '../events.ts'
import type { Protocol } from '../protocol/protocol.ts'
import type { Action } from '../transcript/next.ts'
import { contextReport, type Instructions } from './context-report.ts'
import { fitRequest } from './fit-request.ts'
import type { Run } from './run.ts'

export type CallAction = Extract<Action, { do: 'call' }>

/** What is asked of a model, and the protocol in which it is asked. */
export interface Asked {
  readonly client: LLMClient
  readonly protocol: Protocol
  readonly request: LLMRequest
  readonly context: ContextReport
}

/** What is asked of `client` now. */
export async function encodeRequest(run: Run, action: CallAction, client: LLMClient): Promise<Asked> {
  const { settings } = run
  const { registry, output, params } = settings
  if (settings.blocks) await run.wait(settings.blocks.load())
  const tools = registry.known ?? (await run.wait(registry.definitions()))
  const { runId, conversation, context } = run
  const made = settings.instructions({ runId, conversationId: conversation.id, context })
  const instructions = instructionsOf(run, typeof made === 'string' ? made : await run.wait(made))
  // Loaded when it is spoken: most models call tools natively.
  const protocol = isNative(run, client, tools.length)
    ? settings.native
    : (await import('../protocol/json.ts')).jsonProtocol
  const { capabilities } = client
  const schema = output && (await run.wait(output.jsonSchema()))
  const input = {
    instructions: instructions.sent,
    tools,
    toolsets: settings.describeToolsets ? registry.toolsets() : [],
    planning: settings.planning,
    first: run.fold?.iterations === 0,
    landing: action.landing !== undefined,
    ...(action.correction && { correction: action.correction }),
    ...(schema && {
      output: { schema, structured: capabilities.structuredOutput && schema['type'] === 'object' },
    }),
    ...(params && { params }),
  }
  const fitted = await fitRequest(run, client, protocol, input)
  const request = run.isHooked ? await beforeModel(run, fitted.request) : fitted.request
  settings.onRequest(request)
  return { client, protocol, request, context: contextReport(run, request, fitted, instructions) }
}

/** The request as the hooks leave it. What they put in, also in place, has not passed the scrubber yet. */
async function beforeModel(run: Run, encoded: LLMRequest): Promise<LLMRequest> {
  const request = await run.hook('beforeModel', encoded)
  if (Array.isArray(request.messages)) return run.secrets.scrubber.value(request)
  run.diagnose('hook_failed', 'The hook beforeModel gave a request without an array of messages.')
  return encoded
}

function instructionsOf({ settings: { blocks }, secrets: { scrubber } }: Run, text: unknown): Instructions {
  if (typeof text !== 'string') {
    throw new ConfigurationError('instructions', `instructions must give a string, got ${shown(text)}.`, {
      value: text,
    })
  }
  const given = scrubber.text(text)
  return { given, sent: blocks ? scrubber.text(blocks.buildSystemPrompt(text)) : given }
}

/** Without tools there is nothing an envelope would add: a model that cannot call tools is then spoken to plainly. */
function isNative({ settings: { protocol, planning } }: Run, client: LLMClient, tools: number): boolean {
  const isPlain = client.capabilities.tools || (tools === 0 && planning !== 'required')
  return protocol === 'native' || (protocol === 'auto' && isPlain)
}
