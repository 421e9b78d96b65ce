import type { ClientMiddleware, LLMClient } from '../../client/client.ts'
import { ConfigurationError } from '../../errors.ts'
import {
  type Check,
  checkOptions,
  filledText,
  hidden,
  list,
  object,
  oneOf,
  optional,
  that,
} from '../../options.ts'
import type { Runtime } from '../../runtime.ts'
import { isSecret, reveal, type Secret, type SecretEntry, secret } from '../../secret.ts'
import type { Tool } from '../../tools/tool.ts'
import { readCassette } from './file.ts'
import { type Mutation, mutationCheck } from './mutation.ts'
import { Player } from './player.ts'
import { Recorder } from './recorder.ts'

export interface CassetteOptions {
  /** The file: JSON that is good to read and to compare. Its folder is made if need be. */
  readonly path: string
  /** `auto` replays if there is a file, and records otherwise. For CI say `replay`, which never records. Default: `auto`. */
  readonly mode?: 'auto' | 'record' | 'replay'
  /**
   * What must not be in the file, beside all strings of 8 or more characters in the hidden config of recorded tools.
   * Where a replay knows the same secrets by the same names, they may have other values.
   */
  readonly secrets?: readonly (string | Secret)[]
  /** A call that is made more often than it was recorded: `strict` fails, `loose` gives the last again. Default: `strict`. */
  readonly match?: 'strict' | 'loose'
  /** Faults in a replay. */
  readonly mutate?: readonly Mutation[]
  /**
   * Keeps time: pauses are recorded by its clock and slept in a replay. Default: time is neither recorded nor spent.
   */
  readonly runtime?: Pick<Runtime, 'now' | 'sleep'>
}

/** What goes over the seams to models and tools, recorded or replayed. */
export interface Cassette extends AsyncDisposable {
  /** What it does: `auto` is decided. */
  readonly mode: 'record' | 'replay'
  /** `wrapClient(client, tape.client)`. In a replay, `client` only says who it is. */
  readonly client: ClientMiddleware
  /**
   * A client as it was recorded, for a replay without any. Needed only where there were several: which one.
   *
   * @throws ConfigurationError while recording, and if not exactly one of the recorded clients is meant.
   */
  player(who?: { readonly provider?: string; readonly model?: string }): LLMClient
  /** The same tool, recorded or replayed. Its hidden config is never recorded. */
  tool<Input>(tool: Tool<Input>): Tool<Input>
  /** In a replay, throws an error if something was asked that is not recorded, or recorded and not asked. */
  assertComplete(): void
  /** Writes the file, if something was recorded, all or nothing. Also done by `await using`. */
  save(): Promise<void>
}

/**
 * Opens a cassette: a file of model and tool calls, which are played again for whoever asks the same. Ids of calls may
 * be others, everything else may not: a miss is a `CassetteMissError` that says where the nearest recording differs.
 *
 * @throws ConfigurationError for a wrong option, a file that is no cassette, and a replay of a file that does not exist.
 */
export async function cassette(options: CassetteOptions): Promise<Cassette> {
  checkOptions('cassette', options, checks)
  const { path, mode = 'auto', match = 'strict', mutate = [], runtime } = options
  const secrets = (options.secrets ?? []).flatMap(secretEntry)
  const recorded = mode === 'record' ? undefined : await readCassette(path)
  if (recorded) return new Player(recorded, { path, secrets, match, mutate, runtime })
  if (mode === 'replay') {
    throw new ConfigurationError(
      'path',
      `There is no cassette "${path}" to replay. Record it first, with mode: 'record'.`,
      { value: path },
    )
  }
  if (mutate.length > 0) {
    throw new ConfigurationError(
      'mutate',
      `Only a replay can be mutated, and "${path}" is being recorded. Record it first, without mutate.`,
    )
  }
  return new Recorder({ path, secrets, runtime })
}

const checks: Record<keyof CassetteOptions, Check> = {
  path: filledText(),
  mode: optional(oneOf('auto', 'record', 'replay')),
  secrets: optional(
    hidden(list(that('a string or a secret()', (value) => typeof value === 'string' || isSecret(value)))),
  ),
  match: optional(oneOf('strict', 'loose')),
  mutate: optional(list(mutationCheck)),
  runtime: optional(object()),
}

function secretEntry(given: string | Secret): SecretEntry[] {
  // By way of `secret()`, which refuses what is too short to be kept out of a text.
  const sealed = typeof given === 'string' ? secret(given) : given
  const value = reveal(sealed)
  return value ? [{ name: sealed.name ?? '', value }] : []
}
