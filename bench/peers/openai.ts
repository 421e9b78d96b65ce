import OpenAI from 'openai'
import { z } from 'zod'
import { addDescription, apiKey, baseURL, type Contestant, hasTools } from '../contestant.ts'

type Params = OpenAI.Chat.ChatCompletionMessageParam
type Call = OpenAI.Chat.ChatCompletionMessageFunctionToolCall

const client = new OpenAI({ apiKey, baseURL })
const parameters = z.object({ a: z.number(), b: z.number() })
const tools: OpenAI.Chat.ChatCompletionFunctionTool[] = [
  {
    type: 'function',
    function: { name: 'add', description: addDescription, parameters: z.toJSONSchema(parameters) },
  },
]

async function streamed(
  body: OpenAI.Chat.ChatCompletionCreateParamsNonStreaming,
  onText: (text: string) => void,
) {
  const stream = await client.chat.completions.create({
    ...body,
    stream: true,
    stream_options: { include_usage: true },
  })
  const calls: Call[] = []
  let content = ''
  for await (const { choices } of stream) {
    const delta = choices[0]?.delta
    if (delta?.content) {
      content += delta.content
      onText(delta.content)
    }
    for (const { index, id = '', function: called } of delta?.tool_calls ?? []) {
      calls[index] ??= { id, type: 'function', function: { name: called?.name ?? '', arguments: '' } }
      calls[index].function.arguments += called?.arguments ?? ''
    }
  }
  return { content, ...(calls.length > 0 && { tool_calls: calls }) }
}

async function whole(body: OpenAI.Chat.ChatCompletionCreateParamsNonStreaming) {
  const message = (await client.chat.completions.create(body)).choices[0]?.message
  // The only kind of tool it was given.
  const calls = message?.tool_calls as Call[] | undefined
  return { content: message?.content ?? '', ...(calls && { tool_calls: calls }) }
}

async function answer(model: string, messages: Params[], onText?: (text: string) => void): Promise<string> {
  for (;;) {
    const body = { model, messages, ...(hasTools(model) && { tools }) }
    const reply = onText ? await streamed(body, onText) : await whole(body)
    messages.push({ role: 'assistant', ...reply })
    if (!reply.tool_calls) return reply.content ?? ''
    for (const call of reply.tool_calls) {
      const { a, b } = parameters.parse(JSON.parse(call.function.arguments))
      messages.push({ role: 'tool', tool_call_id: call.id, content: String(a + b) })
    }
  }
}

export const contestant: Contestant = {
  ask: (model, prompt, onText) => answer(model, [{ role: 'user', content: prompt }], onText),
  talk: (model, said) => {
    const messages: Params[] = [...said]
    return (prompt) => {
      messages.push({ role: 'user', content: prompt })
      return answer(model, messages)
    }
  },
}
