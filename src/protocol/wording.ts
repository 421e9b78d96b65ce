import { type JsonSchema, wellFormed } from '../json.ts'
import type { Message } from '../messages.ts'
import type { EncodeInput } from './protocol.ts'

/** Parts of a system prompt, a blank line apart; what is empty or false is left out. */
export function sections(...parts: readonly (string | false | undefined)[]): string {
  return parts.filter((part) => part).join('\n\n')
}

/** Names each set of tools with what it is for. */
export function toolsetSection(toolsets: EncodeInput['toolsets']): string {
  if (toolsets.length === 0) return ''
  const lines = toolsets.map(
    ({ name, description, tools }) => `- ${name}: ${description} (${tools.join(', ')})`,
  )
  return `Your tools come in sets:\n${lines.join('\n')}`
}

export function outputInstructions(schema: JsonSchema): string {
  return (
    'Your final answer must be a single JSON value that fits this JSON Schema, with nothing before or after it:\n' +
    JSON.stringify(schema)
  )
}

export const landingText =
  'A limit was reached: you cannot call any more tools. Give your final answer now, as well as you can from what you ' +
  'have found so far, and say what is missing.'

/** Shows the model the reply that could not be used, and why. Never part of the history. */
export function corrected(
  messages: readonly Message[],
  correction: EncodeInput['correction'],
): readonly Message[] {
  if (!correction) return messages
  const { said, problem } = correction
  return [
    ...messages,
    ...(said.trim() !== '' ? [{ role: 'assistant' as const, content: excerpt(said) }] : []),
    { role: 'user', content: `${problem} Reply again, complete and in the right form.` },
  ]
}

// Enough to recognise it by; a reply of megabytes is not sent back.
const longestExcerpt = 8_000

function excerpt(said: string): string {
  if (said.length <= longestExcerpt) return said
  const half = longestExcerpt / 2
  return wellFormed(
    `${said.slice(0, half)}\n… (${said.length - longestExcerpt} characters left out) …\n${said.slice(-half)}`,
  )
}
