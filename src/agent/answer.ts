import type { JsonValue } from '../json.ts'
import { readOutput } from '../protocol/read-output.ts'
import type { CompiledSchema } from '../tools/schema.ts'

/** Reads a structured answer and checks it against the `output` schema; a problem is said in words a model can act on. */
export async function readAnswer(
  schema: CompiledSchema,
  text: string,
): Promise<{ ok: true; value: JsonValue } | { ok: false; problem: string }> {
  const value = readOutput(text)
  if (value === undefined) return { ok: false, problem: 'Your answer is not valid JSON.' }
  const result = await schema.validate(value)
  if (!result.ok)
    return { ok: false, problem: `Your answer does not fit the schema: ${result.issues.join('; ')}.` }
  // A schema may make anything of the value; what a run gives back is what its schema says it is.
  return { ok: true, value: result.value as JsonValue }
}
