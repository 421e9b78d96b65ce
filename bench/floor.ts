/**
 * The floor: the same job by hand, with `fetch` and nothing around it. No retries, no limits, no events, nothing is checked
 * but the parameters of the tool, nothing is kept but the messages.
 */
import { z } from 'zod'
import { addDescription, apiKey, baseURL, type Contestant, hasTools } from './contestant.ts'

interface Call {
  id: string
  type: 'function'
  function: { name: string; arguments: string }
}

interface Reply {
  content: string | null
  tool_calls?: Call[]
}

type Message = { role: string; content: string | null; tool_calls?: Call[]; tool_call_id?: string }

const parameters = z.object({ a: z.number(), b: z.number() })
const tools = [
  {
    type: 'function',
    function: { name: 'add', description: addDescription, parameters: z.toJSONSchema(parameters) },
  },
]
const add = ({ a, b }: { a: number; b: number }) => a + b

async function post(body: object): Promise<Response> {
  const response = await fetch(`${baseURL}/chat/completions`, {
    method: 'POST',
    headers: { 'content-type': 'application/json', authorization: `Bearer ${apiKey}` },
    body: JSON.stringify(body),
  })
  if (!response.ok) throw new Error(`Status ${response.status}`)
  return response
}

async function whole(body: object): Promise<Reply> {
  const response = await post(body)
  return ((await response.json()) as { choices: [{ message: Reply }] }).choices[0].message
}

interface Delta {
  content?: string | null
  tool_calls?: { index: number; id?: string; function: { name?: string; arguments: string } }[]
}

async function streamed(body: object, onText: (text: string) => void): Promise<Reply> {
  const response = await post({ ...body, stream: true, stream_options: { include_usage: true } })
  const decoder = new TextDecoder()
  const calls: Call[] = []
  let content = ''
  let rest = ''
  const reader = response.body?.getReader()
  for (;;) {
    const read = await reader?.read()
    if (!read || read.done) break
    rest += decoder.decode(read.value, { stream: true })
    let start = 0
    for (let end = rest.indexOf('\n\n'); end >= 0; end = rest.indexOf('\n\n', start)) {
      const data = rest.slice(start + 6, end)
      start = end + 2
      if (data === '[DONE]') continue
      const delta = (JSON.parse(data) as { choices: { delta: Delta }[] }).choices[0]?.delta
      if (delta?.content) {
        content += delta.content
        onText(delta.content)
      }
      for (const { index, id = '', function: called } of delta?.tool_calls ?? []) {
        calls[index] ??= { id, type: 'function', function: { name: called.name ?? '', arguments: '' } }
        calls[index].function.arguments += called.arguments
      }
    }
    rest = rest.slice(start)
  }
  return { content, ...(calls.length > 0 && { tool_calls: calls }) }
}

async function answer(model: string, messages: Message[], onText?: (text: string) => void): Promise<string> {
  for (;;) {
    const body = { model, messages, ...(hasTools(model) && { tools }) }
    const { content, tool_calls } = onText ? await streamed(body, onText) : await whole(body)
    messages.push({ role: 'assistant', content, ...(tool_calls && { tool_calls }) })
    if (!tool_calls) return content ?? ''
    for (const call of tool_calls) {
      const sum = add(parameters.parse(JSON.parse(call.function.arguments)))
      messages.push({ role: 'tool', tool_call_id: call.id, content: String(sum) })
    }
  }
}

export const contestant: Contestant = {
  ask: (model, prompt, onText) => answer(model, [{ role: 'user', content: prompt }], onText),
  talk: (model, said) => {
    const messages: Message[] = [...said]
    return (prompt) => {
      messages.push({ role: 'user', content: prompt })
      return answer(model, messages)
    }
  },
  keep: async (path) => {
    const { DatabaseSync } = await import('node:sqlite')
    const database = new DatabaseSync(path)
    database.exec('PRAGMA journal_mode = WAL; PRAGMA synchronous = FULL')
    database.exec('CREATE TABLE messages (position INTEGER PRIMARY KEY, message TEXT NOT NULL) STRICT')
    const insert = database.prepare('INSERT INTO messages (message) VALUES (?)')
    return {
      append: async (message) => {
        insert.run(JSON.stringify(message))
      },
      close: async () => database.close(),
    }
  },
}
