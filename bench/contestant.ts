/**
 * One way to write the same program. What it is asked is in the name of its model, which the provider reads: see
 * `scenarios` in `provider.ts`.
 */
export interface Contestant {
  /** Asks one question in a conversation of its own. With `onText`, the answer is streamed and told as it arrives. */
  ask(model: string, prompt: string, onText?: (text: string) => void): Promise<string>
  /** Goes on with a conversation that holds `messages`, user and assistant by turns. */
  talk(model: string, messages: readonly Said[]): (prompt: string) => Promise<string>
  /** Keeps messages in a file of SQLite, each on the disk before the next. */
  keep?(path: string): Promise<Keeper>
}

export interface Keeper {
  append(message: Said): Promise<void>
  close(): Promise<void>
}

export interface Said {
  readonly role: 'user' | 'assistant'
  readonly content: string
}

/** Models that are given the tool `add`. */
export const hasTools = (model: string): boolean => /^(tools|start)/.test(model)

/** Where the provider is, with its `/v1`. */
export const baseURL: string = process.env['BENCH_URL'] ?? ''

export const apiKey = 'sk-bench-0123456789'

export const addDescription = 'Adds two numbers'
