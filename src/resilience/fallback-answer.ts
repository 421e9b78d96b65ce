import type { ClientMiddleware } from '../client/client.ts'
import type { LLMError } from '../errors.ts'
import { checkMembers, either, fn, text } from '../options.ts'
import { untilAnswered } from './until-answered.ts'
import { replyOf, told, wrapped } from './wrapped.ts'

/**
 * Answers with this text when a model call has failed for good: the outermost of a client's middlewares, around `retry` and
 * `failover`. A function gives the text for an error, or nothing to let it be thrown. The response, and the result of the
 * run, are marked `degraded`: no model said it. With `output`, the text has to fit the schema. An abort is not answered.
 *
 * @throws ConfigurationError
 */
export function fallbackAnswer(answer: string | ((error: LLMError) => string | undefined)): ClientMiddleware {
  checkMembers('fallbackAnswer', { answer }, { answer: either(text(), fn()) })
  return (next) =>
    wrapped(next, (request, options, way) =>
      untilAnswered(replyOf(next, request, options, way), options, async (error) => {
        const said = typeof answer === 'string' ? answer : answer(error)
        return said === undefined ? undefined : told({ ...fallback, text: said }, way)
      }),
    )
}

const fallback = {
  toolCalls: [],
  stopReason: 'stop',
  usage: { inputTokens: 0, outputTokens: 0 },
  degraded: true,
} as const
