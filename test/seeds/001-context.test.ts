import { describe, expect, it } from 'vitest'
import { Agent, type Message } from '../../src/index.ts'
import { TokenCounts } from '../../src/memory/tokens.ts'
import { view } from '../../src/memory/view.ts'
import { assistant, system, user } from '../../src/messages.ts'
import { calls, ScriptedClient } from '../../src/testing/index.ts'
import { look } from './look.ts'

describe('seed 001, the context window', () => {
  it('001-31 subtracts system, tools and the answer, and without room sends what was asked, never nothing', async () => {
    const history: Message[] = [system('Be kind.'), user('first'), assistant('a'), user('second')]
    const input = {
      history,
      memory: null,
      counts: new TokenCounts(),
      contextWindow: 1_000,
      maxOutputTokens: 300,
      conversationId: 'c',
      signal: new AbortController().signal,
    }
    const roomy = await view({ ...input, overheadTokens: 100 })
    expect([roomy.budgetTokens, roomy.messages]).toEqual([900 - 300 - 100, history])
    const { budgetTokens, messages } = await view({ ...input, overheadTokens: 5_000 })
    expect(budgetTokens).toBe(0)
    expect(messages.map(({ role }) => role)).toEqual(['system', 'user'])
    expect(messages.at(-1)).toBe(history.at(-1))
  })

  it.each(['native', 'json'] as const)(
    '001-60 sends the same instructions and tools in each iteration, and the messages before as they were (%s)',
    async (protocol) => {
      const said = {
        native: calls(['look', {}]),
        json: '{"tool_calls": [{"tool_name": "look", "parameters": {}}]}',
      }
      const client = new ScriptedClient([said[protocol], said[protocol], '{"final_answer": "done"}'])
      await new Agent({ client, protocol, tools: [look], instructions: 'Look.' }).run('Look around.')
      const [first, ...later] = client.requests
      expect(later).toHaveLength(2)
      for (const request of later) {
        expect(JSON.stringify([request.system, request.tools])).toBe(
          JSON.stringify([first?.system, first?.tools]),
        )
      }
      const [second, third] = later.map(({ messages }) => JSON.stringify(messages).slice(0, -1))
      expect(second).toSatisfy((text: string) =>
        text.startsWith(JSON.stringify(first?.messages).slice(0, -1)),
      )
      expect(third).toSatisfy((text: string) => text.startsWith(second ?? '?'))
    },
  )
})
