import type { LLMChunk, LLMRequest, LLMResponse, ToolDefinition } from '../client/client.ts'
import { HistoryFold } from '../memory/history-fold.ts'
import type { AssistantMessage, Message, ToolMessage } from '../messages.ts'
import {
  type EncodeInput,
  type Protocol,
  planToolName,
  type ReplyReader,
  type ReplyText,
  type Turn,
  type TurnCall,
} from './protocol.ts'
import { corrected, landingText, outputInstructions, sections, toolsetSection } from './wording.ts'

/**
 * The provider's own tool calling. A plan is a call of the reserved tool `plan`; text beside calls is the step's
 * thought; text alone is final.
 */
export const nativeProtocol: Protocol = /* @__PURE__ */ speaking(withPlans)

/** The same for conversations that grow: plans that were written for one request are not written anew for the next. */
export function growingNativeProtocol(): Protocol {
  const written = new HistoryFold(
    () => new WrittenPlans(),
    (plans, message) => plans.add(message),
  )
  return speaking((messages, planning) =>
    planning ? written.of(messages).of(messages) : withPlans(messages, planning),
  )
}

type PlanWriting = (messages: readonly Message[], planning: boolean) => readonly Message[]

function speaking(writePlans: PlanWriting): Protocol {
  return {
    name: 'native',
    encode: (input) => encode(input, writePlans),
    decode,
    reader: () => new NativeReader(),
  }
}

const planTool: ToolDefinition = {
  name: planToolName,
  description:
    'Write down how you will go about the task, before you act or when your plan changes. ' +
    'Recorded and shown; it does nothing else. Not needed for simple questions.',
  parameters: {
    type: 'object',
    properties: { plan: { type: 'string', description: 'The steps, one a line.' } },
    required: ['plan'],
    additionalProperties: false,
  },
}

function encode(input: EncodeInput, writePlans: PlanWriting): LLMRequest {
  const { tools, output, params, first, landing } = input
  const planning = input.planning !== 'off' && tools.length > 0
  const offered = planning ? [planTool, ...tools] : tools
  const mustPlan = planning && input.planning === 'required' && first
  const messages = writePlans(input.messages, planning)
  const system = sections(
    input.instructions,
    toolsetSection(input.toolsets),
    output && !output.structured && outputInstructions(output.schema),
  )
  return {
    ...(system !== '' && { system }),
    // The tools stay in a landing request, unusable: without them the provider's prompt cache would be cold, and calls
    // in the history would name tools that do not exist.
    messages: corrected(
      landing ? [...messages, { role: 'user', content: landingText }] : messages,
      input.correction,
    ),
    ...(offered.length > 0 && { tools: offered }),
    ...(offered.length > 0 && landing && { toolChoice: 'none' as const }),
    ...(!landing && mustPlan && { toolChoice: { toolName: planToolName } }),
    ...(output?.structured && {
      responseFormat: { type: 'json' as const, schema: output.schema, name: 'answer' },
    }),
    ...(params && { params }),
  }
}

function withPlans(messages: readonly Message[], planning: boolean): readonly Message[] {
  if (!messages.some((message) => message.role === 'assistant' && message.plan !== undefined)) return messages
  const ids = planning ? new PlanIds() : undefined
  for (const message of messages) ids?.take(message)
  return messages.flatMap((message) => withPlan(message, ids))
}

/** A plan goes back as the call it was, so that the model finds its own way of speaking in the history. */
function withPlan(message: Message, ids: PlanIds | undefined): readonly Message[] {
  if (message.role !== 'assistant' || message.plan === undefined) return [message]
  const { plan, planId: given, ...rest } = message
  const isSilent = message.content.trim() === ''
  if (!ids) {
    const content = isSilent ? plan : `${plan}\n\n${message.content}`
    const said: AssistantMessage = { ...rest, content }
    return message.toolCalls || !isSilent ? [said] : [said, { role: 'user', content: 'Go on.' }]
  }
  const planId = ids.claim(given)
  const call = { id: planId, toolName: planToolName, parameters: { plan } }
  const answer: ToolMessage = {
    role: 'tool',
    callId: planId,
    toolName: planToolName,
    content: 'Plan recorded.',
    ok: true,
  }
  if (message.toolCalls) return [{ ...rest, toolCalls: [call, ...message.toolCalls] }, answer]
  // A plan beside the answer itself: the call must be answered before the answer is said.
  if (!isSilent) {
    return [
      { role: 'assistant', content: '', toolCalls: [call] },
      answer,
      { ...rest, content: message.content },
    ]
  }
  return [{ ...rest, toolCalls: [call] }, answer]
}

/** Ids for plans that no call of the messages has. Those of plans made elsewhere may be missing, or taken. */
class PlanIds {
  readonly #taken = new Set<string>()
  readonly #claimed = new Set<string>()
  #count = 0

  /** Takes the ids of its calls. False if one of them is that of a plan already. */
  take(message: Message): boolean {
    const calls = (message.role === 'assistant' && message.toolCalls) || []
    for (const { id } of calls) this.#taken.add(id)
    return !calls.some(({ id }) => this.#claimed.has(id))
  }

  claim(given: string | undefined): string {
    let id = given ?? 'plan_0'
    while (this.#taken.has(id)) id = `plan_0_${++this.#count}`
    this.#taken.add(id)
    this.#claimed.add(id)
    return id
  }
}

/** The messages of one conversation with their plans as calls, message by message. */
class WrittenPlans {
  readonly #ids = new PlanIds()
  readonly #written: Message[] = []
  #hasPlans = false
  #isSound = true

  add(message: Message): void {
    this.#isSound &&= this.#ids.take(message)
    const written = withPlan(message, this.#ids)
    if (written[0] !== message) this.#hasPlans = true
    this.#written.push(...written)
  }

  /** `messages` are all that were added. */
  of(messages: readonly Message[]): readonly Message[] {
    if (!this.#hasPlans) return messages
    // A call was given the id of a plan before it: whose it is depends on what came later.
    return this.#isSound ? this.#written.slice() : withPlans(messages, true)
  }
}

function decode(response: LLMResponse): Turn {
  const plans: string[] = []
  const toolCalls: TurnCall[] = []
  for (const call of response.toolCalls) {
    if (call.toolName !== planToolName) toolCalls.push(call)
    else plans.push(planOf(call.parameters['plan']))
  }
  const plan = plans.filter((text) => text.trim() !== '').join('\n')
  const annotation = plan !== '' && { plan }
  const { text } = response
  if (toolCalls.length > 0) {
    return { kind: 'step', ...annotation, ...(text.trim() !== '' && { thought: text }), toolCalls }
  }
  // Text beside a plan call announces it ("Let me think this through:"); it is not the answer.
  const said = text.trim() === '' ? 'No plan was given.' : text
  if (plans.length > 0) return { kind: 'plan', plan: plan || said }
  if (text.trim() !== '') return { kind: 'final', text }
  return { kind: 'malformed', reason: 'empty', message: 'Your reply was empty. Answer, or call a tool.' }
}

function planOf(value: unknown): string {
  if (typeof value === 'string') return value
  if (Array.isArray(value))
    return value.map((line) => (typeof line === 'string' ? line : JSON.stringify(line))).join('\n')
  return value === undefined ? '' : JSON.stringify(value)
}

const nothing: readonly ReplyText[] = []

class NativeReader implements ReplyReader {
  #text = ''
  #acting = false

  push(chunk: LLMChunk): readonly ReplyText[] {
    switch (chunk.type) {
      case 'text':
        if (chunk.text === '') return nothing
        if (!this.#acting) this.#text += chunk.text
        return [{ type: 'token', channel: this.#acting ? 'thought' : 'answer', text: chunk.text }]
      case 'reasoning':
        return chunk.text === '' ? nothing : [{ type: 'token', channel: 'reasoning', text: chunk.text }]
      case 'tool_call':
        return this.#act()
      case 'retracted':
      case 'end':
        return nothing
    }
  }

  end(response: LLMResponse): readonly ReplyText[] {
    return response.toolCalls.length > 0 ? this.#act() : nothing
  }

  /** What was shown as an answer is the thought beside a call. */
  #act(): readonly ReplyText[] {
    if (this.#acting) return nothing
    this.#acting = true
    const text = this.#text
    this.#text = ''
    if (text === '') return nothing
    return [
      { type: 'retracted', channel: 'answer' },
      { type: 'token', channel: 'thought', text },
    ]
  }
}
