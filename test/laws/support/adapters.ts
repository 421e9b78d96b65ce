import type { LLMClient } from '../../../src/client/client.ts'
import type { JsonObject } from '../../../src/json.ts'
import { AnthropicClient } from '../../../src/providers/anthropic.ts'
import { GroqClient } from '../../../src/providers/groq.ts'
import { OpenAIClient } from '../../../src/providers/openai.ts'
import { OpenRouterClient } from '../../../src/providers/openrouter.ts'
import { anthropicDialect } from '../../../src/testing/anthropic-dialect.ts'
import { groqDialect } from '../../../src/testing/groq-dialect.ts'
import { openAIDialect } from '../../../src/testing/openai-dialect.ts'
import { openRouterDialect } from '../../../src/testing/openrouter-dialect.ts'
import type { Dialect } from '../../../src/testing/strict-contract.ts'

type Fetch = typeof globalThis.fetch

/** A server as a function: in this process, and without a socket. */
export type Server = (body: JsonObject, headers: Readonly<Record<string, string>>) => Response

/** A client, made once, for a server that can be another one for each call. */
export function connected({ make }: Adapter, apiKey?: string) {
  let serve: Server = () => new Response('nobody is there', { status: 503 })
  const client = make(async (_, init) => {
    const body = JSON.parse(String(init?.body)) as JsonObject // as every SDK sends it
    return serve(body, Object.fromEntries(new Headers(init?.headers)))
  }, apiKey)
  return {
    client,
    serveWith: (server: Server) => {
      serve = server
    },
  }
}

/** A client over its real SDK, and how the API that it speaks to speaks. */
export interface Adapter {
  readonly name: string
  readonly dialect: Dialect
  readonly make: (fetch: Fetch, apiKey?: string) => LLMClient
}

const sampleKey = 'sk-sample-0123456789'
// Said here, so that no variable of the environment leads elsewhere.
const [openAI, anthropic] = ['https://api.openai.com/v1', 'https://api.anthropic.com']

export const adapters: readonly Adapter[] = [
  {
    name: 'OpenAI',
    dialect: openAIDialect,
    make: (fetch, apiKey = sampleKey) => new OpenAIClient({ apiKey, model: 'gpt-5', baseURL: openAI, fetch }),
  },
  {
    name: 'Groq',
    dialect: groqDialect,
    make: (fetch, apiKey = sampleKey) =>
      new GroqClient({ apiKey, model: 'openai/gpt-oss-120b', baseURL: 'https://api.groq.com', fetch }),
  },
  {
    name: 'OpenRouter',
    dialect: openRouterDialect,
    make: (fetch, apiKey = sampleKey) => new OpenRouterClient({ apiKey, model: 'openrouter/auto', fetch }),
  },
  {
    name: 'Anthropic',
    dialect: anthropicDialect,
    make: (fetch, apiKey = sampleKey) =>
      new AnthropicClient({ apiKey, model: 'claude-opus-4-8', baseURL: anthropic, fetch, cache: true }),
  },
]
