import type { JsonObject } from '../../../src/json.ts'
import type { Dialect, FailureKind } from '../../../src/testing/strict-contract.ts'

/** How a server or a transport can tell, while it fails, what it knows. */
export const tellings = [
  'in its own words',
  'as the code',
  'as the type',
  'as details',
  'without a wrapper',
  'as plain text',
  'as a page',
  'as the request id',
  'as an error in the place of an answer',
  'as text in the place of an answer',
  'as a list in the place of an answer',
  'as an event of an error',
  'as an event that is none',
  'by a body that breaks',
  'by a connection that breaks',
] as const

export type Telling = (typeof tellings)[number]

export const failureKinds = [
  'auth',
  'quota',
  'rate_limit',
  'server_error',
  'overloaded',
  'context_length',
  'invalid_request',
] as const satisfies readonly FailureKind[]

export interface TellingFailure {
  readonly how: Telling
  readonly kind: FailureKind
  readonly told: string
}

/** A failure of this API that shows what it is told to. Also throws it, as a `fetch` does. */
export function tellingFailure({ how, kind, told }: TellingFailure, dialect: Dialect, request: JsonObject) {
  const { status, body } = dialect.failure(kind, request)
  // As each dialect makes it.
  const { error, ...rest } = body as { readonly error: JsonObject }
  const saying = (more: JsonObject, answered = status) =>
    new Response(JSON.stringify({ ...rest, error: { ...error, ...more } }), {
      status: answered,
      headers: { 'content-type': 'application/json' },
    })
  const streamed = (text: string) =>
    new Response(text, { headers: { 'content-type': 'text/event-stream', 'request-id': 'req_1' } })
  switch (how) {
    case 'in its own words':
      return saying({ message: told })
    case 'as the code':
      return saying({ code: told })
    case 'as the type':
      return saying({ type: told })
    case 'as details':
      return saying({ message: { told }, metadata: { raw: told }, failed_generation: told, param: told })
    case 'without a wrapper':
      return new Response(JSON.stringify({ detail: told }), { status })
    case 'as plain text':
      return new Response(told, { status })
    case 'as a page':
      return new Response(`<html><title>${told}</title></html>`, { status })
    case 'as the request id':
      return new Response(JSON.stringify(body), { status, headers: { [dialect.requestIdHeader]: told } })
    case 'as an error in the place of an answer':
      return saying({ message: told, code: told }, 200)
    case 'as text in the place of an answer':
      return new Response(told)
    case 'as a list in the place of an answer':
      return new Response(JSON.stringify([told]))
    case 'as an event of an error':
      return streamed(dialect.errorEvent({ ...rest, error: { ...error, message: told } }))
    case 'as an event that is none':
      return streamed(`data: ${told}\n\n`)
    case 'by a body that breaks':
      return new Response(
        new ReadableStream({
          start: (controller) => controller.error(brokenBy(told)),
        }),
      )
    case 'by a connection that breaks':
      throw brokenBy(told)
  }
}

function brokenBy(told: string): Error {
  return Object.assign(new TypeError('fetch failed', { cause: new Error(told) }), { request: { told } })
}
