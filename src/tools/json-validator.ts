import { Validator } from '@cfworker/json-schema'
import type { JsonSchema } from '../json.ts'
import type { Validation } from './schema.ts'
import { fitted } from './schema-fit.ts'
import { schemaIssues } from './schema-issues.ts'
import { isTooDeep } from './schema-keys.ts'

/**
 * A validator that gives back a new value: with the `default`s of the schema filled in, nested ones too, and without
 * properties that a closed schema does not list.
 *
 * @throws Error if the schema contradicts itself, such as by the same `$id` twice.
 */
export function compileJsonSchema(schema: JsonSchema): (value: unknown) => Validation {
  // A copy of our own: the validator writes marks into the schema it is given.
  const root = JSON.parse(JSON.stringify(schema)) as JsonSchema // JSON of JSON
  const validator = new Validator({ ...root }, '7', false)
  return (value) => {
    if (isTooDeep(value)) return { ok: false, issues: ['parameters: nested too deeply'] }
    const copy = fitted(value, root, root)
    const { valid, errors } = validator.validate(copy)
    return valid ? { ok: true, value: copy } : { ok: false, issues: schemaIssues(errors, root) }
  }
}
