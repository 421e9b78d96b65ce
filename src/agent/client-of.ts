import { type ClientMiddleware, type LLMClient, wrapClient } from '../client/client.ts'
import { ConfigurationError } from '../errors.ts'
import { retry } from '../resilience/retry.ts'
import type { Runtime } from '../runtime.ts'
import type { AgentOptions } from './options.ts'

type ClientOptions = Pick<AgentOptions, 'client' | 'providers' | 'retry'>

/**
 * Gives the client an agent calls: found by its name if it has to be, and tried again as the options say. What a run puts
 * around it is within the retries, so that each attempt passes it.
 *
 * @throws ConfigurationError, ProviderNotFoundError
 */
export function clientOf(
  options: ClientOptions,
  runtime: Runtime,
): (...inner: ClientMiddleware[]) => LLMClient {
  const client = found(options)
  const outer = options.retry === false ? [] : [retry({ runtime, ...options.retry })]
  return (...inner) => wrapClient(client, ...outer, ...inner)
}

function found({ client, providers }: ClientOptions): LLMClient {
  if (typeof client !== 'string') return client
  if (providers) return providers.resolve(client)
  throw new ConfigurationError(
    'providers',
    `Agent option client is "${client}", but there are no providers to look it up in. ` +
      'Pass providers: a ProviderRegistry, or a client object.',
    { value: client },
  )
}
