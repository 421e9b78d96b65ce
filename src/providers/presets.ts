import type { Capabilities } from '../client/client.ts'
import type { Quirks } from './quirks.ts'

/** A server that speaks Chat Completions, as data. */
export interface Preset {
  readonly baseURL: string
  /** The environment variable of its key; absent if it needs none. */
  readonly keyVariable?: string
  readonly quirks?: Partial<Quirks>
  readonly capabilities?: Partial<Capabilities>
}

export type PresetName =
  | 'ollama'
  | 'llamacpp'
  | 'vllm'
  | 'lmstudio'
  | 'mistral'
  | 'deepseek'
  | 'moonshot'
  | 'xai'

/** Servers on this machine at the port each listens on by itself, and services whose ways are known: 2026-11. */
export const presets: Readonly<Record<PresetName, Preset>> = {
  ollama: { baseURL: 'http://localhost:11434/v1' },
  llamacpp: { baseURL: 'http://localhost:8080/v1', quirks: { reasoningReplay: 'reasoning_content' } },
  vllm: { baseURL: 'http://localhost:8000/v1' },
  lmstudio: { baseURL: 'http://localhost:1234/v1' },
  mistral: {
    baseURL: 'https://api.mistral.ai/v1',
    keyVariable: 'MISTRAL_API_KEY',
    // It refuses fields it does not know, and reports its usage unasked.
    quirks: {
      seedField: 'random_seed',
      streamUsage: false,
      maxToolCallIdLength: 9,
      exactToolCallIds: true,
      files: false,
    },
  },
  deepseek: {
    baseURL: 'https://api.deepseek.com/v1',
    keyVariable: 'DEEPSEEK_API_KEY',
    // Its thinking models refuse a tool's answer without the reasoning that led to the call.
    quirks: { files: false, reasoningReplay: 'reasoning_content' },
    capabilities: { structuredOutput: false, images: false },
  },
  moonshot: {
    baseURL: 'https://api.moonshot.ai/v1',
    keyVariable: 'MOONSHOT_API_KEY',
    quirks: { files: false, reasoningReplay: 'reasoning_content' },
  },
  xai: { baseURL: 'https://api.x.ai/v1', keyVariable: 'XAI_API_KEY', quirks: { files: false } },
}
