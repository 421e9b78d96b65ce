import type { LLMChunk, LLMRequest, LLMResponse, ToolDefinition } from '../client/client.ts'
import type { AssistantMessage, Message, ToolMessage } from '../messages.ts'
import { parseReply } from './json-reply.ts'
import { EnvelopeStream } from './json-stream.ts'
import type { EncodeInput, Protocol, ReplyReader, ReplyText, Turn } from './protocol.ts'
import { corrected, landingText, outputInstructions, sections } from './wording.ts'

/**
 * For models without tool calling: the tools stand in the system prompt, and each reply is a JSON object,
 * `{"plan"}`, `{"tool_thought","tool_calls"}` or `{"final_answer"}`. The transcript keeps what was said, not how: the
 * envelopes are written anew for every request.
 */
export const jsonProtocol: Protocol = {
  name: 'json',
  encode,
  decode,
  reader: () => new JsonReader(),
}

function encode(input: EncodeInput): LLMRequest {
  const { tools, output, params, landing } = input
  const system = sections(
    input.instructions,
    formatSection(input),
    tools.length > 0 && toolSection(tools, input.toolsets),
    output && `The value of "final_answer" is the final answer. ${outputInstructions(output.schema)}`,
  )
  const messages = grouped(input.messages)
  return {
    ...(system !== '' && { system }),
    messages: corrected(
      landing ? [...messages, { role: 'user', content: landingText }] : messages,
      input.correction,
    ),
    ...(params && { params }),
  }
}

function formatSection({ tools, planning }: EncodeInput): string {
  const forms = [
    ...(planning === 'off' ? [] : ['{"plan": "the steps you will take, one a line"}']),
    ...(tools.length > 0
      ? ['{"tool_thought": "why", "tool_calls": [{"id": "call_1", "tool_name": "name", "parameters": {}}]}']
      : []),
    '{"final_answer": "your answer to the user, as a string"}',
  ]
  const rules = [
    'Reply with exactly one JSON object in a ```json code block, and nothing else.',
    ...(planning === 'required' ? ['Your first reply must hold a "plan".'] : []),
    ...(tools.length > 0
      ? [
          'Give each call its own id. Several calls in one reply run side by side.',
          'Results come in the next message. Never make them up.',
        ]
      : []),
    'When you can answer, reply with "final_answer": it ends the task.',
  ]
  return `How to reply. Use one of these forms:\n${forms.join('\n')}\n\n${rules.map((rule) => `- ${rule}`).join('\n')}`
}

function toolSection(tools: readonly ToolDefinition[], toolsets: EncodeInput['toolsets']): string {
  const inSets = new Set(toolsets.flatMap((set) => set.tools))
  const line = ({ name, description, parameters }: ToolDefinition) =>
    `- ${name}: ${description}\n  parameters: ${JSON.stringify(parameters)}`
  const groups = toolsets.map((set) => {
    const own = tools.filter(({ name }) => set.tools.includes(name))
    return `${set.name}: ${set.description}\n${own.map(line).join('\n')}`
  })
  const alone = tools.filter(({ name }) => !inSets.has(name))
  return `Your tools:\n${[...(alone.length > 0 ? [alone.map(line).join('\n')] : []), ...groups].join('\n\n')}`
}

/** Assistant messages as envelopes; the results of one exchange as one message of the user. */
function grouped(messages: readonly Message[]): Message[] {
  const written: Message[] = []
  for (let index = 0; index < messages.length; index++) {
    const message = messages[index]
    if (!message) continue
    if (message.role === 'assistant') {
      written.push({ role: 'assistant', content: envelopeOf(message) })
      if (isPlanAlone(message)) written.push({ role: 'user', content: 'Plan recorded. Go on.' })
      continue
    }
    if (message.role !== 'tool') {
      written.push(message)
      continue
    }
    const results: ToolMessage[] = []
    for (let at = messages[index]; at?.role === 'tool'; at = messages[++index]) results.push(at)
    index--
    written.push({ role: 'user', content: `Tool results:\n\n${results.map(resultText).join('\n\n')}` })
  }
  return written
}

function isPlanAlone(message: AssistantMessage): boolean {
  return message.plan !== undefined && !message.toolCalls && message.content === ''
}

function envelopeOf({ content, plan, toolCalls }: AssistantMessage): string {
  const envelope = {
    ...(plan !== undefined && { plan }),
    ...(toolCalls && {
      ...(content !== '' && { tool_thought: content }),
      tool_calls: toolCalls.map(({ id, toolName, parameters }) => ({ id, tool_name: toolName, parameters })),
    }),
    ...(!toolCalls && content !== '' && { final_answer: content }),
  }
  return `\`\`\`json\n${JSON.stringify(envelope)}\n\`\`\``
}

function resultText({ toolName, callId, content, ok }: ToolMessage): string {
  return `[${toolName}] (id: ${callId})\n${ok ? `Success: ${content}` : content}`
}

function decode(response: LLMResponse): Turn {
  return parseReply(response.text)
}

const nothing: readonly ReplyText[] = []

class JsonReader implements ReplyReader {
  readonly #envelope = new EnvelopeStream()

  push(chunk: LLMChunk): readonly ReplyText[] {
    if (chunk.type === 'text') return tokens(this.#envelope.push(chunk.text))
    if (chunk.type === 'reasoning' && chunk.text !== '') {
      return [{ type: 'token', channel: 'reasoning', text: chunk.text }]
    }
    return nothing
  }

  end(): readonly ReplyText[] {
    return tokens(this.#envelope.end())
  }
}

function tokens(
  texts: readonly { channel: 'answer' | 'thought' | 'plan'; text: string }[],
): readonly ReplyText[] {
  return texts.length === 0 ? nothing : texts.map((token) => ({ type: 'token', ...token }))
}
