import { createOpenAI } from '@ai-sdk/openai'
import { generateText, isStepCount, type ModelMessage, streamText, tool } from 'ai'
import { z } from 'zod'
import { addDescription, apiKey, baseURL, type Contestant, hasTools } from '../contestant.ts'

const provider = createOpenAI({ apiKey, baseURL })
const tools = {
  add: tool({
    description: addDescription,
    inputSchema: z.object({ a: z.number(), b: z.number() }),
    execute: async ({ a, b }) => a + b,
  }),
}

const options = (model: string) => ({
  model: provider.chat(model),
  ...(hasTools(model) && { tools, stopWhen: isStepCount(10) }),
})

export const contestant: Contestant = {
  ask: async (model, prompt, onText) => {
    if (!onText) return (await generateText({ ...options(model), prompt })).text
    const result = streamText({ ...options(model), prompt })
    for await (const text of result.textStream) onText(text)
    return await result.text
  },
  talk: (model, said) => {
    const messages: ModelMessage[] = [...said]
    return async (prompt) => {
      messages.push({ role: 'user', content: prompt })
      const { text, response } = await generateText({ ...options(model), messages })
      messages.push(...response.messages)
      return text
    }
  },
}
