import { readdirSync, readFileSync } from 'node:fs'
import { join, relative, sep } from 'node:path'
import { fileURLToPath } from 'node:url'

/** The folder that holds package.json, without a slash at the end. */
export const root = fileURLToPath(new URL('../..', import.meta.url)).replace(/[\\/]$/, '')

/** The text of a file of the repository, by its path from the root. */
export function read(path: string): string {
  return readFileSync(join(root, path), 'utf8')
}

/** Paths of all files under `folder` (from `base`, with forward slashes), sorted; none when the folder is not there. */
export function filesUnder(folder: string, base: string = root): string[] {
  let entries: import('node:fs').Dirent[]
  try {
    entries = readdirSync(join(base, folder), { recursive: true, withFileTypes: true })
  } catch (error) {
    // Only read to tell "no such folder", which is an answer, from everything else, which is not.
    if ((error as NodeJS.ErrnoException).code === 'ENOENT') return []
    throw error
  }
  return entries
    .filter((entry) => entry.isFile())
    .map((entry) => relative(base, join(entry.parentPath, entry.name)).split(sep).join('/'))
    .sort()
}

/** package.json, parsed. */
export interface PackageJson {
  name: string
  version: string
  engines: { node: string }
  files: string[]
  exports: Record<string, string | { types: string; default: string }>
  dependencies: Record<string, string>
  devDependencies: Record<string, string>
  peerDependencies: Record<string, string>
}

export function packageJson(): PackageJson {
  return JSON.parse(read('package.json')) as PackageJson // our own file; a wrong shape fails the test that reads it
}
