import { TercetError } from '../../errors.ts'
import type { JsonObject } from '../../json.ts'
import { differingTexts, type JsonDifference, jsonDifferences } from '../json-difference.ts'

/** A cassette was asked for what is not on it. */
export class CassetteMissError extends TercetError {
  readonly code = 'cassette_miss'
  /** Where the nearest recording (`expected`) differs from what was asked (`actual`). Empty: there is none near. */
  readonly differences: readonly JsonDifference[]

  constructor(message: string, differences: readonly JsonDifference[] = []) {
    super(message)
    this.differences = differences
  }
}

/** Nothing that was recorded was asked just this. */
export function missed(
  path: string,
  asked: JsonObject,
  recordings: readonly { readonly asked: JsonObject }[],
): CassetteMissError {
  const cure = "Record it again with mode: 'record', or ask what was recorded."
  const nearest = nearestTo(asked, recordings)
  if (!nearest) return new CassetteMissError(`The cassette "${path}" holds no ${nameOf(asked)}. ${cure}`)
  const { number, differences } = nearest
  const lines = differences.slice(0, mostShown).map((difference) => {
    const { expected, actual } = differingTexts(difference)
    return `  ${difference.path}\n    recorded: ${expected}\n    asked:    ${actual}`
  })
  if (differences.length > mostShown) lines.push(`  and in ${differences.length - mostShown} more places`)
  return new CassetteMissError(
    `The cassette "${path}" does not hold this ${nameOf(asked)}. The nearest, number ${number}, differs in\n` +
      `${lines.join('\n')}\n${cure}`,
    differences,
  )
}

/** It is on the cassette, and was played as often as it is. */
export function exhausted(path: string, asked: JsonObject, times: number): CassetteMissError {
  const often = times === 1 ? 'once' : `${times} times`
  return new CassetteMissError(
    `This ${nameOf(asked)} is ${often} on the cassette "${path}", and is made once more. ` +
      "Record it again with mode: 'record', or say match: 'loose' to be given the last one again.",
  )
}

export const nameOf = ({ tool }: JsonObject): string =>
  typeof tool === 'string' ? `call of the tool "${tool}"` : 'model call'

const mostShown = 5

function nearestTo(
  asked: JsonObject,
  recordings: readonly { readonly asked: JsonObject }[],
): { number: number; differences: readonly JsonDifference[] } | undefined {
  const compared = recordings.map((recording, index) => ({
    number: index + 1,
    isOfTool: recording.asked['tool'] === asked['tool'],
    differences: [...jsonDifferences(recording.asked, asked)],
  }))
  return compared
    .filter(({ isOfTool }) => isOfTool)
    .sort((one, other) => one.differences.length - other.differences.length)[0]
}
