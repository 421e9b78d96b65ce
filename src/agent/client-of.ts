import type { LLMClient } from '../client/client.ts'
import { ConfigurationError } from '../errors.ts'
import type { AgentOptions } from './options.ts'

/**
 * The client of an agent, found by its name if it has to be.
 *
 * @throws ConfigurationError, ProviderNotFoundError
 */
export function clientOf({ client, providers }: Pick<AgentOptions, 'client' | 'providers'>): LLMClient {
  if (typeof client !== 'string') return client
  if (providers) return providers.resolve(client)
  throw new ConfigurationError(
    'providers',
    `Agent option client is "${client}", but there are no providers to look it up in. ` +
      'Pass providers: a ProviderRegistry, or a client object.',
    { value: client },
  )
}
