import { statSync } from 'node:fs'
import { join } from 'node:path'
import { filesUnder, packageJson, root } from './repository.ts'

/** Why `dist` cannot stand for `src` in a test, in words that say what to do; undefined when it can. */
export function distProblem(base: string = root): string | undefined {
  const built = Object.values(packageJson().exports).flatMap((entry) =>
    typeof entry === 'string' ? [] : entry.default.replace('./', ''),
  )
  const present = filesUnder('dist', base)
  const missing = built.find((path) => !present.includes(path))
  if (missing !== undefined) return `${missing} is missing: npm run build`
  const oldest = Math.min(...built.map((path) => modified(base, path)))
  const newer = filesUnder('src', base).find((path) => modified(base, path) > oldest)
  return newer === undefined ? undefined : `dist is older than ${newer}: npm run build`
}

function modified(base: string, path: string): number {
  return statSync(join(base, path)).mtimeMs
}
