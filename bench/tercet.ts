import { Agent, tool } from 'tercet'
import { OpenAIClient } from 'tercet/openai'
import { z } from 'zod'
import { addDescription, apiKey, baseURL, type Contestant, hasTools } from './contestant.ts'

const add = tool({
  name: 'add',
  description: addDescription,
  parameters: z.object({ a: z.number(), b: z.number() }),
  execute: ({ a, b }) => a + b,
})

const agents = new Map<string, Agent>()

function agentOf(model: string): Agent {
  let agent = agents.get(model)
  if (!agent) {
    agent = new Agent({
      client: new OpenAIClient({ model, baseURL, apiKey }),
      tools: hasTools(model) ? [add] : [],
      ...(model.startsWith('envelope') && { protocol: 'json' }),
    })
    agents.set(model, agent)
  }
  return agent
}

let begun = 0

export const contestant: Contestant = {
  ask: async (model, prompt, onText) => {
    const agent = agentOf(model)
    // A conversation of its own that nobody goes on with, as for each contestant.
    const options = { history: [] }
    if (!onText) return agent.run(prompt, { ...options, stream: false })
    const stream = agent.runStream(prompt, options)
    for await (const event of stream) {
      if (event.type === 'token' && event.channel === 'answer') onText(event.text)
    }
    return (await stream.result).answer ?? ''
  },
  talk: (model, said) => {
    if (said.length === 0) {
      const conversation = agentOf(model).conversation(`c${++begun}`)
      return (prompt) => conversation.run(prompt, { stream: false })
    }
    const client = new OpenAIClient({ model, baseURL, apiKey })
    // Large enough that all is sent, as the others do.
    const agent = new Agent({ client, contextWindow: 1_000_000 })
    for (const message of said) agent.addMessage(message)
    return (prompt) => agent.run(prompt, { stream: false })
  },
  keep: async (path) => {
    const { SqliteStore } = await import('tercet/sqlite')
    const store = new SqliteStore({ path })
    await store.init()
    let version = 0
    return {
      append: async (message) => {
        const entry = { type: 'message', message } as const
        version = await store.append('c', version, [entry])
      },
      close: () => store.close(),
    }
  },
}
