import { describe, expect, test } from 'vitest'
import { AnthropicClient } from '../../src/providers/anthropic.ts'
import { GroqClient } from '../../src/providers/groq.ts'
import { OpenRouterClient } from '../../src/providers/openrouter.ts'
import { answers } from './answers.ts'
import { endings } from './endings.ts'
import { apiKey, type ClientOf, playScenario, type Variant } from './support.ts'
import { toolCalls } from './tool-calls.ts'

interface Subject {
  readonly name: string
  readonly clientOf: ClientOf
  /** Parameters are objects in a whole reply, not text. */
  readonly hasObjects?: true
}

const subjects: readonly Subject[] = [
  {
    name: 'Anthropic',
    clientOf: ({ anthropicURL }, capabilities) =>
      new AnthropicClient({ model: 'claude-sonnet-5-5', apiKey, baseURL: anthropicURL, capabilities }),
    hasObjects: true,
  },
  {
    name: 'Groq',
    clientOf: ({ groqURL }, capabilities) =>
      new GroqClient({ model: 'openai/gpt-oss-120b', apiKey, baseURL: groqURL, capabilities }),
  },
  {
    name: 'OpenRouter',
    clientOf: ({ openRouterURL }, capabilities) =>
      new OpenRouterClient({ model: 'openai/gpt-4o', apiKey, baseURL: openRouterURL, capabilities }),
  },
]

const variants: readonly Variant[] = [
  { chunking: 'event', text: 'streamed' },
  { chunking: 'utf8', text: 'streamed' },
  { chunking: 'bytes', text: 'untold' },
  { chunking: 'whole', text: 'whole' },
]

describe.each(subjects)('through the client of $name', ({ clientOf, hasObjects }) => {
  describe.each([
    ['answers', answers],
    ['tool calls', toolCalls],
    ['endings', endings],
  ] as const)('%s', (_kind, scenarios) => {
    test.each(scenarios)('$name', async (scenario) => {
      let told: unknown
      const isStreamed = scenario.streamOnly ?? (hasObjects && scenario.brokenParameters)
      for (const variant of variants.filter(({ text }) => text === 'streamed' || !isStreamed)) {
        const { story, ...play } = await playScenario(scenario, variant, clientOf)
        const where = JSON.stringify(variant)
        expect(play, where).toEqual({ outcomes: scenario.outcomes, faults: [] })
        told ??= story
        expect(story, where).toEqual(told)
      }
    })
  })
})
