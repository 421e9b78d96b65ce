import { leave } from '../abort.ts'
import { takeArrived } from '../client/arrived.ts'
import type {
  CallOptions,
  ClientNotice,
  LLMChunk,
  LLMClient,
  LLMRequest,
  LLMResponse,
} from '../client/client.ts'
import { clientError } from '../client/thrown.ts'
import { checkResponse, noResponse } from './check-response.ts'
import type { ReplyDisplay } from './reply-display.ts'
import type { Run } from './run.ts'

/** How a reply is shown, and what another client would be asked for it. */
interface Asking {
  readonly display: ReplyDisplay
  /** The reply begins anew. */
  readonly restart: () => void
  readonly requestFor: (client: LLMClient) => Promise<LLMRequest>
}

/** The client's response, shown as it arrives. What the client throws becomes an error of this library. */
export async function askClient(run: Run, request: LLMRequest, asking: Asking): Promise<LLMResponse> {
  const { client } = run
  const { runtime, stream } = run.settings
  const startedAt = runtime.now()
  let isOver = false
  const options: CallOptions = {
    signal: run.signal,
    idempotencyKey: run.stepId,
    canRetract: true,
    requestFor: asking.requestFor,
    scope: run.scope,
    notify: (notice) => {
      // A client that was left behind may go on talking.
      if (!isOver) tellNotice(run, notice)
    },
  }
  try {
    if (stream && client.stream && client.capabilities.streaming) {
      return await readStream(run, client.stream(request, options), asking)
    }
    const response = checkResponse(await run.wait(client.call(request, options)), client)
    // Who reads along gets the text in one piece, when the display is ended.
    if (stream) asking.display.begin()
    return response
  } catch (error) {
    throw run.signal.aborted ? error : clientError(error, client)
  } finally {
    isOver = true
    run.modelMs += runtime.now() - startedAt
  }
}

async function readStream(
  run: Run,
  chunks: AsyncIterable<LLMChunk>,
  { display, restart }: Asking,
): Promise<LLMResponse> {
  const { client } = run
  const iterator = chunks[Symbol.asyncIterator]()
  try {
    for (;;) {
      run.signal.throwIfAborted()
      let chunk = takeArrived(iterator)
      if (!chunk) {
        const step = await run.wait(iterator.next())
        if (step.done) throw noResponse(client, 'its stream ended without a response')
        chunk = step.value
      }
      if (chunk.type === 'end') return checkResponse(chunk.response, client)
      if (chunk.type === 'retracted') restart()
      else if (display.push(chunk)) {
        const paced = run.paced()
        if (paced) await paced
      }
    }
  } finally {
    leave(iterator)
  }
}

function tellNotice(run: Run, notice: ClientNotice): void {
  if (notice.type === 'warning') {
    run.diagnose('parameter_dropped', notice.message)
    return
  }
  const error = { ...notice.error, message: run.secrets.scrubber.text(notice.error.message) }
  run.emit({ ...notice, error, runId: run.runId, stepId: run.stepId })
}
