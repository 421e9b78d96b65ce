import { checkMembers, given } from '../options.ts'
import { type ClientMiddleware, type LLMRequest, type ModelParams, modelParamsCheck } from './client.ts'
import { clientAround } from './client-around.ts'

/**
 * Sampling settings of every call that does not say otherwise, key by key. What neither has is not sent.
 *
 * @throws ConfigurationError
 */
export function defaultParams(params: ModelParams): ClientMiddleware {
  checkMembers('defaultParams', { params }, { params: modelParamsCheck() })
  const { maxOutputTokens } = given(params)
  const filled = (request: LLMRequest): LLMRequest => ({
    ...request,
    params: mergedParams(params, request.params),
  })
  return (next) =>
    clientAround(next, {
      // Who fits a request into the context window keeps room for the answer.
      capabilities: () => ({
        ...next.capabilities,
        ...(maxOutputTokens !== undefined && { maxOutputTokens }),
      }),
      call: (request, options) => next.call(filled(request), options),
      stream: (stream, request, options) => stream(filled(request), options),
    })
}

/** Later ones win, key by key, also in `extra`; what is undefined is as good as absent. */
export function mergedParams(...layers: readonly (ModelParams | undefined)[]): ModelParams {
  const said = layers.map((layer) => given(layer ?? {}))
  const extra = Object.assign({}, ...said.map((layer) => layer.extra))
  return { ...Object.assign({}, ...said), ...(Object.keys(extra).length > 0 && { extra }) }
}
