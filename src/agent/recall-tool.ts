import type { JsonObject } from '../json.ts'
import type { Embed } from '../memory/meaning-search.ts'
import { checkOptions, filledText, fn, integer, optional } from '../options.ts'
import { tool } from '../tools/define.ts'
import type { Tool } from '../tools/tool.ts'
import type { Recall } from './recall.ts'

export interface RecallToolOptions {
  /** Default `'recall'`. */
  readonly name?: string
  /**
   * Lets a search go by meaning. Each message is embedded once, by its first 8,000 code points, at most 100 texts in one call.
   * Default: by words.
   */
  readonly embed?: Embed
  /** Code points of one result, at most; at least 1,000. A longer message is read in pieces. Default 8,000. */
  readonly maxOutput?: number
}

/**
 * A tool by which the model looks back into its conversation, also at what requests no longer hold: `recall({ query })`
 * searches all earlier messages, and `recall({ message: 5 })` or `recall({ call: 'call_3' })` reads one of them in full, in pieces
 * if it is long. It has no part of the present exchange, and does not find what it found before.
 *
 * @throws ConfigurationError
 */
export function recallTool(options: RecallToolOptions = {}): Tool<JsonObject> {
  checkOptions('recallTool()', options, {
    name: optional(filledText()),
    embed: optional(fn()),
    maxOutput: optional(integer(1_000)),
  })
  const { name = 'recall', embed, maxOutput = 8_000 } = options
  let recall: Recall | undefined
  return tool({
    name,
    description:
      'Looks back into this conversation, also at messages that are no longer in sight. Give "query" to search all earlier ' +
      'messages, or "message" (its number, from a search) or "call" (the id of a tool call) to read one in full.',
    parameters,
    effect: 'read',
    maxOutput,
    // Two searches of one reply would embed everything twice.
    serial: true,
    execute: async (input, context) => {
      const { Recall } = await import('./recall.ts')
      recall ??= new Recall({ name, embed, maxOutput })
      return recall.answer(input, context)
    },
  })
}

const parameters: JsonObject = {
  type: 'object',
  properties: {
    query: { type: 'string', description: 'A few telling words: searches all earlier messages.' },
    message: { type: 'integer', minimum: 1, description: 'Reads the message of this number.' },
    call: { type: 'string', minLength: 1, description: 'Reads the result of the tool call of this id.' },
    offset: {
      type: 'integer',
      minimum: 0,
      description: 'Where to begin to read, in code points. Default: at the beginning.',
    },
    limit: {
      type: 'integer',
      minimum: 1,
      description: 'Code points to read at most. Default: as many as fit.',
    },
  },
  additionalProperties: false,
}
