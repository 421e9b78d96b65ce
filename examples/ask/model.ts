import type { LLMClient } from 'tercet'
import { AnthropicClient } from 'tercet/anthropic'
import { GroqClient } from 'tercet/groq'
import { OpenAIClient } from 'tercet/openai'
import { OpenRouterClient } from 'tercet/openrouter'

interface Way {
  readonly variable: string
  readonly model: string
  readonly clientOf: (model: string) => LLMClient
}

/** Providers, the first whose key is there being asked, and a model of each that calls tools well. */
const ways: ReadonlyMap<string, Way> = new Map([
  [
    'openai',
    { variable: 'OPENAI_API_KEY', model: 'gpt-4o', clientOf: (model) => new OpenAIClient({ model }) },
  ],
  [
    'anthropic',
    {
      variable: 'ANTHROPIC_API_KEY',
      model: 'claude-sonnet-4-5',
      clientOf: (model) => new AnthropicClient({ model }),
    },
  ],
  [
    'groq',
    {
      variable: 'GROQ_API_KEY',
      model: 'openai/gpt-oss-120b',
      clientOf: (model) => new GroqClient({ model }),
    },
  ],
  [
    'openrouter',
    {
      variable: 'OPENROUTER_API_KEY',
      model: 'openai/gpt-4o',
      clientOf: (model) => new OpenRouterClient({ model }),
    },
  ],
])

export const providerNames: readonly string[] = [...ways.keys()]
const variables = [...ways.values()].map(({ variable }) => variable).join(', ')

export interface ModelChoice {
  readonly provider?: string
  readonly model?: string
  readonly baseURL?: string
}

/**
 * A client for a real model, `undefined` if there is no way to one and none was asked for.
 *
 * @throws Error if one was asked for.
 */
export function clientFor({ provider, model, baseURL }: ModelChoice): LLMClient | undefined {
  if (baseURL !== undefined || (provider === undefined && isSet('OPENAI_BASE_URL'))) {
    return new OpenAIClient({
      ...(model !== undefined && { model }),
      ...(baseURL !== undefined && { baseURL }),
    })
  }
  const [, way] =
    [...ways].find(([name, { variable }]) =>
      provider === undefined ? isSet(variable) : name === provider,
    ) ?? []
  if (way !== undefined) return way.clientOf(model ?? way.model)
  if (model === undefined) return undefined
  throw new Error(`There is no way to "${model}": set one of ${variables}, or name a server with --base-url.`)
}

function isSet(variable: string): boolean {
  return Boolean(process.env[variable])
}
