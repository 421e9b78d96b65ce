import { mkdir, readFile, rename, rm, writeFile } from 'node:fs/promises'
import { dirname } from 'node:path'
import { ConfigurationError } from '../../errors.ts'
import { isJsonObject, parseJson } from '../../json.ts'
import { systemRuntime } from '../../runtime.ts'
import type { Recordings } from './recording.ts'

/** The version of the file's form. It grows when an older file could no longer be played. */
const version = 1

/**
 * What is on the cassette; `undefined` if there is none.
 *
 * @throws ConfigurationError for a file that is no cassette, or cannot be read.
 */
export async function readCassette(path: string): Promise<Recordings | undefined> {
  let text: string
  try {
    text = await readFile(path, 'utf8')
  } catch (cause) {
    if (isJsonObject(cause) && cause['code'] === 'ENOENT') return undefined
    throw unreadable(path, 'the file cannot be opened', cause)
  }
  const file = parseJson(text)
  if (file === undefined) throw unreadable(path, 'it is no JSON')
  if (!isJsonObject(file) || file['tercet'] !== 'cassette') throw unreadable(path, 'it is no cassette')
  if (file['version'] !== version) {
    throw unreadable(path, `it is of version ${file['version']}, and this version of tercet plays ${version}`)
  }
  const { clients, recordings } = file
  if (!Array.isArray(clients) || !clients.every(isClient)) throw unreadable(path, 'its "clients" are none')
  if (!Array.isArray(recordings)) throw unreadable(path, 'it has no list of "recordings"')
  const wrong = recordings.findIndex((recording: unknown) => !isRecording(recording))
  if (wrong >= 0) throw unreadable(path, `recordings[${wrong}] is none`)
  // Its members are what the type says, as was just checked as far as they are relied upon.
  return { clients, recordings } as unknown as Recordings
}

/** All or nothing: a process that dies leaves the file that was there. */
export async function writeCassette(path: string, { clients, recordings }: Recordings): Promise<void> {
  const text = `${JSON.stringify({ tercet: 'cassette', version, clients, recordings }, undefined, 2)}\n`
  const draft = `${path}.${systemRuntime.id()}.draft`
  await mkdir(dirname(path), { recursive: true })
  try {
    await writeFile(draft, text)
    await rename(draft, path)
  } finally {
    await rm(draft, { force: true })
  }
}

function unreadable(path: string, problem: string, cause?: unknown): ConfigurationError {
  return new ConfigurationError(
    'path',
    `The cassette "${path}" cannot be read: ${problem}. Delete it and record it again, or give another path.`,
    { value: path, ...(cause !== undefined && { cause }) },
  )
}

function isClient(value: unknown): boolean {
  if (!isJsonObject(value)) return false
  const { provider, model, capabilities } = value
  return typeof provider === 'string' && typeof model === 'string' && isJsonObject(capabilities)
}

function isRecording(value: unknown): boolean {
  if (!isJsonObject(value) || !isJsonObject(value['asked'])) return false
  const { reply, outcome } = value
  if (reply === undefined) return outcome === undefined || isJsonObject(outcome)
  return isJsonObject(reply) && Array.isArray(reply['chunks']) && reply['chunks'].every(isJsonObject)
}
