import type { LLMRequest } from '../../../src/client/client.ts'
import { isTercetError } from '../../../src/errors.ts'
import { wireRequest } from '../../../src/providers/chat-completions/request.ts'
import { openAIQuirks } from '../../../src/providers/quirks.ts'
import { validateOpenAI } from '../../../src/testing/strict-openai.ts'

/** What is wrong with a request: by itself, and as OpenAI would see it. */
export function requestFault(request: LLMRequest): string | undefined {
  return structureFault(request) ?? wireFault(request)
}

function structureFault({ system, messages, tools = [], toolChoice }: LLMRequest): string | undefined {
  if (system?.trim() === '') return 'the system text is empty'
  if (messages.length === 0) return 'there are no messages'
  if (toolChoice !== undefined && tools.length === 0) return 'a tool choice without tools'
  const made = new Set<string>()
  let open: string[] = []
  for (const [at, message] of messages.entries()) {
    if (message.role === 'tool') {
      if (open.shift() !== message.callId)
        return `message ${at} answers ${message.callId}, which is not the next open call`
      continue
    }
    if (open.length > 0) return `message ${at} comes before the calls ${open} are answered`
    if (message.role !== 'assistant') {
      if (typeof message.content === 'string' && message.content.trim() === '')
        return `message ${at} is empty`
      continue
    }
    open = (message.toolCalls ?? []).map(({ id }) => id)
    if (message.content.trim() === '' && open.length === 0) return `message ${at} says nothing`
    for (const id of open) {
      if (id === '' || made.has(id)) return `message ${at} makes a call with the id "${id}", which is taken`
      made.add(id)
    }
  }
  return open.length > 0 ? `the calls ${open} are never answered` : undefined
}

function wireFault(request: LLMRequest): string | undefined {
  try {
    const target = { provider: 'openai', model: 'gpt-5', quirks: openAIQuirks, written: new WeakMap() }
    const body: unknown = JSON.parse(JSON.stringify(wireRequest(request, target, true)))
    const refusal = validateOpenAI(body)
    return refusal && `OpenAI refuses it by its rule ${refusal.rule}: ${JSON.stringify(refusal.body)}`
  } catch (error) {
    return isTercetError(error) ? `it cannot be written: ${error.message}` : String(error)
  }
}
