import type { Capabilities, ClientNotice, LLMChunk } from '../../client/client.ts'
import type { JsonObject, JsonValue } from '../../json.ts'
import type { RecordedError } from './recorded-error.ts'

/** What a cassette holds: plain JSON, in the order in which the calls began. */
export interface Recordings {
  readonly clients: readonly RecordedClient[]
  readonly recordings: readonly Recording[]
}

/** Who was asked, so that a replay needs no client. */
export interface RecordedClient {
  readonly provider: string
  readonly model: string
  readonly capabilities: Capabilities
}

/** A call and what came of it. `asked` is all that a later call is compared with. */
export type Recording = ModelRecording | ToolRecording

export interface ModelRecording {
  readonly asked: JsonObject
  readonly reply: RecordedReply
}

/** Its last chunk is the `end`, or it has an error; with neither, whoever asked left or stopped the call. */
export interface RecordedReply {
  readonly chunks: readonly RecordedChunk[]
  /** Played before the first chunk. */
  readonly notices?: readonly ClientNotice[]
  readonly error?: RecordedError & Pause
}

export type RecordedChunk = LLMChunk & Pause

export interface ToolRecording {
  readonly asked: JsonObject
  /** Absent: the tool never came to an end, whatever it was told. */
  readonly outcome?: RecordedOutcome
  /** By the time of its outcome it had been told to stop. */
  readonly stopped?: true
  /** Which of the tool calls it was to finish; the first is 1. */
  readonly finished?: number
  readonly progress?: readonly JsonValue[]
}

/** What `execute` gave: a value, nothing, a `toolResult` or `toolError`, or something thrown. */
export type RecordedOutcome = Pause &
  (
    | { readonly returned?: JsonValue }
    | {
        readonly result: { readonly ok: boolean; readonly output?: JsonValue; readonly metadata?: JsonObject }
      }
    | { readonly thrown: RecordedError }
  )

/** Kept only where time is. */
export interface Pause {
  /** Milliseconds since what came before it. Absent: none that is known of. */
  readonly afterMs?: number
}

export const isModelRecording = (recording: Recording): recording is ModelRecording => 'reply' in recording
