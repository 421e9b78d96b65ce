import {
  Agent,
  type AgentInputItem,
  assistant,
  OpenAIChatCompletionsModel,
  run,
  setTracingDisabled,
  tool,
  user,
} from '@openai/agents'
import OpenAI from 'openai'
import { z } from 'zod'
import { addDescription, apiKey, baseURL, type Contestant, hasTools } from '../contestant.ts'

// It would send its traces to OpenAI.
setTracingDisabled(true)
const client = new OpenAI({ apiKey, baseURL })
const add = tool({
  name: 'add',
  description: addDescription,
  parameters: z.object({ a: z.number(), b: z.number() }),
  execute: async ({ a, b }) => a + b,
})

const agents = new Map<string, Agent>()

function agentOf(model: string): Agent {
  let agent = agents.get(model)
  if (!agent) {
    agent = new Agent({
      name: 'bench',
      model: new OpenAIChatCompletionsModel(client, model),
      tools: hasTools(model) ? [add] : [],
    })
    agents.set(model, agent)
  }
  return agent
}

export const contestant: Contestant = {
  ask: async (model, prompt, onText) => {
    if (!onText) return (await run(agentOf(model), prompt)).finalOutput ?? ''
    const result = await run(agentOf(model), prompt, { stream: true })
    for await (const text of result.toTextStream()) onText(text)
    await result.completed
    return result.finalOutput ?? ''
  },
  talk: (model, said) => {
    let items: AgentInputItem[] = said.map(({ role, content }) =>
      (role === 'user' ? user : assistant)(content),
    )
    return async (prompt) => {
      const result = await run(agentOf(model), [...items, user(prompt)])
      items = result.history
      return result.finalOutput ?? ''
    }
  },
}
