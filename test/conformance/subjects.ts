import { type LLMClient, type LLMErrorKind, textClient } from '../../src/index.ts'
import {
  type ClientUnderTest,
  type ConformanceSettings,
  type FailureKind,
  fails,
  hangs,
  type Made,
  type MakeClient,
  ScriptedClient,
  type StrictFault,
  type StrictProvider,
  type StrictReply,
  strictProvider,
} from '../../src/testing/index.ts'

export const apiKey = 'sk-conformance-0123456789abcdef'

/** A client that asks a strict provider. */
export function asking(
  clientOf: (provider: StrictProvider, settings: ConformanceSettings) => LLMClient,
): MakeClient {
  return async (settings) => {
    const provider = await strictProvider({ chunking: settings.chunking, keys: [apiKey] })
    const client = clientOf(provider, settings)
    return {
      client,
      apiKey,
      script: (turns) => provider.script(turns),
      get requests() {
        return provider.requests.length
      },
      get liveRequests() {
        return provider.liveRequests
      },
      close: async () => {
        await client.close?.()
        await provider.close()
        if (provider.refusals.length > 0) throw new Error(`refused: ${JSON.stringify(provider.refusals)}`)
      },
    }
  }
}

/** A scripted client: it has no wire, so a turn is the reply or the failure it would come to. */
export const scripted: MakeClient = async () => {
  let turns: readonly (StrictReply | StrictFault)[] = []
  let position = 0
  const client = new ScriptedClient(() => madeOf(turns[position++]), {
    chunkSize: 3,
  })
  return withoutWire(client, {
    script: (next) => {
      turns = next
      position = 0
    },
    requests: () => client.calls,
  })
}

/** The smallest client: it says text, or throws. */
export const texting: MakeClient = async () => {
  let turns: readonly (StrictReply | StrictFault)[] = []
  let requests = 0
  let position = 0
  const client = textClient(async function* () {
    requests += 1
    const turn = turns[position++]
    if (turn === undefined) throw new Error('The script is over.')
    if (!('fault' in turn)) return yield* turn.text ?? ''
    if (turn.fault === 'hang') {
      if (turn.after !== undefined) yield 'One'
      await new Promise(() => {})
    }
    throw Object.assign(new Error('It failed.'), { status: statuses[turn.fault as FailureKind] }) // undefined for others
  })
  return withoutWire(client, {
    script: (next) => {
      turns = next
      position = 0
    },
    requests: () => requests,
  })
}

const statuses: Readonly<Record<FailureKind, number>> = {
  auth: 401,
  quota: 402,
  forbidden: 403,
  not_found: 404,
  rate_limit: 429,
  server_error: 500,
  unavailable: 503,
  overloaded: 529,
  context_length: 400,
  invalid_request: 400,
  too_large: 413,
}

const kinds: Readonly<Record<FailureKind, LLMErrorKind>> = {
  auth: 'auth',
  quota: 'quota',
  forbidden: 'auth',
  not_found: 'not_found',
  rate_limit: 'rate_limit',
  server_error: 'overloaded',
  unavailable: 'overloaded',
  overloaded: 'overloaded',
  context_length: 'context_length',
  invalid_request: 'invalid_request',
  too_large: 'invalid_request',
}

function madeOf(turn: StrictReply | StrictFault | undefined): Made {
  if (turn === undefined) return new Error('The script is over.')
  if (!('fault' in turn)) return scriptedReply(turn)
  if (turn.fault === 'hang') return hangs(turn.after === undefined ? [] : ['One'])
  return fails(kinds[turn.fault as FailureKind]) // what else there is is excepted
}

function scriptedReply({ text, reasoning, refusal, toolCalls, stop, usage }: StrictReply): Made {
  return {
    text: text ?? refusal ?? '',
    ...(reasoning !== undefined && { reasoning }),
    ...(toolCalls && {
      toolCalls: toolCalls.map(({ id, toolName, parameters }) => ({
        toolName,
        parameters: typeof parameters === 'string' ? {} : parameters,
        ...(id !== undefined && { id }),
      })),
    }),
    ...(stop !== undefined && { stopReason: stop }),
    ...(refusal !== undefined && { stopReason: 'refusal' as const }),
    ...(usage !== undefined && { usage }),
  }
}

function withoutWire(
  client: LLMClient,
  { script, requests }: { script: ClientUnderTest['script']; requests: () => number },
): ClientUnderTest {
  return {
    client,
    apiKey,
    script,
    get requests() {
      return requests()
    },
    liveRequests: 0,
    close: async () => client.close?.(),
  }
}
