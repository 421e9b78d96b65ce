import type { LLMClient } from '../client/client.ts'
import { ProviderRegistry } from '../client/provider-registry.ts'
import { AnthropicClient } from './anthropic.ts'
import { GroqClient } from './groq.ts'
import { OpenAIClient } from './openai.ts'
import { OpenRouterClient } from './openrouter.ts'
import { type PresetName, presets } from './presets.ts'

/**
 * A new registry of every provider this package has a client for, each by its environment variables: further ones can be
 * registered beside them. No SDK is loaded before a client's first call.
 */
export function defaultProviders(): ProviderRegistry {
  const providers = new ProviderRegistry()
    .register('openai', (model) => new OpenAIClient({ model }), { description: 'OpenAI' })
    .register('anthropic', (model) => new AnthropicClient({ model }), { description: 'Anthropic' })
    .register('groq', (model) => new GroqClient({ model }), { description: 'Groq' })
    .register('openrouter', (model) => new OpenRouterClient({ model }), { description: 'OpenRouter' })
  // The keys of our own table.
  for (const preset of Object.keys(presets) as PresetName[]) {
    const { baseURL } = presets[preset]
    providers.register(preset, (model) => new OpenAIClient({ preset, model }), { description: baseURL })
  }
  return providers
}

/**
 * The client for `'provider/model'`, such as `'groq/openai/gpt-oss-120b'`.
 *
 * @throws ConfigurationError when `spec` has another form.
 * @throws ProviderNotFoundError naming the providers there are.
 * @throws MissingCredentialError
 */
export function createClient(spec: string, providers: ProviderRegistry = defaultProviders()): LLMClient {
  return providers.resolve(spec)
}
