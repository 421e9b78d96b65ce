import { type LLMRequest, type Message, type ToolMessage, textOf } from 'tercet'

/** Where a conversation stands, for a model that has to say what comes next. */
export interface Situation {
  readonly question: string
  /** What was asked before it, in order. */
  readonly earlier: readonly string[]
  /** What was done for this question, in order. */
  readonly results: readonly Finding[]
  /** Names of the tools that may be called now. */
  readonly tools: ReadonlySet<string>
  readonly canPlan: boolean
  /** Whether a reply has to be a JSON envelope. */
  readonly json: boolean
}

/** What a tool gave. */
export type Finding = Pick<ToolMessage, 'toolName' | 'content' | 'ok'>

/**
 * Reads a request as a model would: with the provider's tool calling, or, where tools are explained in the system
 * prompt, as JSON envelopes.
 */
export function readSituation(request: LLMRequest): Situation {
  const { system = '', tools = [] } = request
  const json = tools.length === 0 && system.includes('"final_answer"')
  const named = json
    ? [...system.matchAll(/^- ([\w-]+): /gm)].map(([, name = '']) => name)
    : tools.map(({ name }) => name)
  const messages = json
    ? request.messages.flatMap((message) => fromEnvelope(message, named))
    : request.messages
  const questions = messages.flatMap(({ role, content }) => (role === 'user' ? [textOf(content)] : []))
  const last = messages.findLastIndex(({ role }) => role === 'user')
  const usable = request.toolChoice === 'none' ? [] : named
  return {
    question: questions.at(-1) ?? '',
    earlier: questions.slice(0, -1),
    results: messages
      .slice(last + 1)
      .filter(isToolMessage)
      .filter(({ toolName }) => toolName !== 'plan'),
    tools: new Set(usable.filter((name) => name !== 'plan')),
    canPlan: json ? system.includes('{"plan"') : usable.includes('plan'),
    json,
  }
}

const isToolMessage = (message: Message): message is ToolMessage => message.role === 'tool'

const resultsHead = 'Tool results:\n\n'
const resultHead = /^\[([\w-]+)\] \(id: ([^)\n]*)\)\n(Success: )?/gm

/** The messages that one message of a JSON conversation stands for. */
function fromEnvelope(message: Message, tools: readonly string[]): Message[] {
  if (message.role !== 'user') return [message]
  const text = textOf(message.content)
  if (text === 'Plan recorded. Go on.') return []
  if (!text.startsWith(resultsHead)) return [message]
  // A file that was read may hold such a line itself, as this one does.
  const heads = [...text.matchAll(resultHead)].filter(([, name = '']) => tools.includes(name))
  return heads.map(([head, toolName = '', callId = '', success], index) => ({
    role: 'tool',
    toolName,
    callId,
    content: text.slice((heads[index]?.index ?? 0) + head.length, heads[index + 1]?.index).trimEnd(),
    ok: success !== undefined,
  }))
}
