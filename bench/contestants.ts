/** The contestants, as programs that a process can be started with. */
import { spawn, spawnSync } from 'node:child_process'
import { existsSync, statSync } from 'node:fs'
import { createInterface } from 'node:readline'
import { fileURLToPath } from 'node:url'
import { build } from 'esbuild'

export const root = fileURLToPath(new URL('..', import.meta.url))
const peers = `${root}bench/peers/`

/** Where a contestant's source is, from `bench/`, and the packages it is made of, as they are imported. */
export const contestants = {
  floor: { source: 'floor.ts', packages: [] },
  tercet: { source: 'tercet.ts', packages: ['tercet'] },
  openai: { source: 'peers/openai.ts', packages: ['openai'] },
  ai: { source: 'peers/ai.ts', packages: ['ai', '@ai-sdk/openai'] },
  'openai-agents': { source: 'peers/openai-agents.ts', packages: ['@openai/agents'] },
} as const

export type Name = keyof typeof contestants
export const names = Object.keys(contestants) as readonly Name[] // as they are written above

const isPeer = (name: Name): boolean => contestants[name].source.startsWith('peers/')

/** Where the packages of a contestant are found from. */
export const homeOf = (name: Name): string => (isPeer(name) ? peers : root)

/** The peers, exactly as the lock file has them. */
export function installPeers(): void {
  const installed = `${peers}node_modules/.package-lock.json`
  const isCurrent =
    existsSync(installed) && statSync(installed).mtimeMs >= statSync(`${peers}package-lock.json`).mtimeMs
  if (isCurrent) return
  console.error('Installing what Tercet is measured beside …')
  const { status } = spawnSync('npm', ['ci', '--ignore-scripts', '--no-audit', '--no-fund'], {
    cwd: peers,
    stdio: ['ignore', 'ignore', 'inherit'],
  })
  if (status !== 0) throw new Error('npm ci failed in bench/peers.')
}

/** Programs in plain JavaScript, one file each, in which only packages are imported: types cost time to strip. */
export async function buildPrograms(of: readonly Name[]): Promise<void> {
  if (!existsSync(`${root}dist/index.js`)) throw new Error('There is no dist/. Run npm run build.')
  for (const name of of) {
    await build({
      stdin: {
        contents: `import { main } from './in-child.ts'\nimport { contestant } from './${contestants[name].source}'\nawait main(contestant)`,
        resolveDir: `${root}bench`,
        loader: 'ts',
      },
      outfile: programOf(name),
      bundle: true,
      packages: 'external',
      // Without the paths of the project's own: `tercet` is what is built.
      tsconfigRaw: '{}',
      platform: 'node',
      format: 'esm',
      target: 'node22',
    })
  }
}

export const programOf = (name: Name): string =>
  `${isPeer(name) ? peers : `${root}bench/`}.programs/${name}.mjs`

export interface Provider {
  readonly url: string
  readonly stop: () => void
}

export async function startProvider(): Promise<Provider> {
  const child = spawn(process.execPath, [`${root}bench/provider.ts`], {
    stdio: ['ignore', 'pipe', 'inherit'],
  })
  for await (const line of createInterface(child.stdout)) {
    return { url: `http://127.0.0.1:${line}/v1`, stop: () => child.kill() }
  }
  throw new Error('The provider did not start.')
}
