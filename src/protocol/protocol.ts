import type { LLMChunk, LLMRequest, LLMResponse, ModelParams, ToolDefinition } from '../client/client.ts'
import type { JsonSchema } from '../json.ts'
import type { Message, ToolCall } from '../messages.ts'

/** How plans, tool calls and answers are said to a model and heard from it. Pure: the same input, the same request. */
export interface Protocol {
  readonly name: 'native' | 'json'
  encode(input: EncodeInput): LLMRequest
  /** What a whole reply says. */
  decode(response: LLMResponse): Turn
  /** Reads one reply as it arrives. */
  reader(): ReplyReader
}

/** The tool by which a model that calls tools declares its plan. No other tool may have this name. */
export const planToolName = 'plan'

export interface EncodeInput {
  readonly instructions: string
  readonly messages: readonly Message[]
  readonly tools: readonly ToolDefinition[]
  /** Sets of tools that are worth describing as such. */
  readonly toolsets: readonly {
    readonly name: string
    readonly description: string
    readonly tools: readonly string[]
  }[]
  /** `required`: the first reply of a run must plan. */
  readonly planning: 'auto' | 'required' | 'off'
  /** This is the run's first model call. */
  readonly first: boolean
  /** The last call of the run: no tools, answer with what there is. */
  readonly landing: boolean
  /** What was wrong with the reply before; said to the model once and kept nowhere. */
  readonly correction?: { readonly said: string; readonly problem: string } | undefined
  readonly output?: { readonly schema: JsonSchema; readonly structured: boolean }
  readonly params?: ModelParams
}

/** What a reply says. A plan may stand beside anything. */
export type Turn = { readonly plan?: string } & (
  | { readonly kind: 'step'; readonly thought?: string; readonly toolCalls: readonly TurnCall[] }
  | { readonly kind: 'final'; readonly text: string }
  | { readonly kind: 'plan' }
  | { readonly kind: 'malformed'; readonly reason: 'empty' | 'json' | 'shape'; readonly message: string }
)

/** A call as the model made it; a missing id is minted by the loop. */
export type TurnCall = Omit<ToolCall, 'id'> & { readonly id?: string }

export interface ReplyReader {
  /** What `chunk` lets the user see. A shared empty array when that is nothing. */
  push(chunk: LLMChunk): readonly ReplyText[]
  /** What was held back until the reply was whole. */
  end(response: LLMResponse): readonly ReplyText[]
}

/**
 * Decoded text, or the withdrawal of all text of a channel in this reply: what was shown as an answer turned out to be
 * the thought beside a tool call.
 */
export type ReplyText =
  | { readonly type: 'token'; readonly channel: Channel; readonly text: string }
  | { readonly type: 'retracted'; readonly channel: Channel }

export type Channel = 'answer' | 'thought' | 'plan' | 'reasoning'
