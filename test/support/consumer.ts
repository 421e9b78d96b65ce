import { cpSync, mkdirSync, mkdtempSync, readdirSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { type Ended, run, runNode } from './child.ts'
import { packageJson, read, root } from './repository.ts'

/** An empty project with the packed package and its dependencies installed, and nothing else. */
export interface Consumer extends Disposable {
  folder: string
  /** The installed package. */
  installed: string
  /** Every path in the packed archive, without the leading `package/`, sorted. */
  packed: string[]
  /** Runs a program of that text, its name's ending telling ESM (`.mjs`) from CommonJS (`.cjs`). */
  run(name: string, text: string, nodeArgs?: readonly string[]): Promise<Ended>
}

/** Packs the repository as it would be published and installs the archive, without a registry, in a folder of its own. */
export async function installPacked(): Promise<Consumer> {
  const folder = mkdtempSync(join(tmpdir(), 'tercet-package-'))
  try {
    const archive = await pack(folder)
    const listed = await finished(run('tar', ['-tzf', archive], { cwd: folder }))
    const installed = join(folder, 'node_modules', packageJson().name)
    mkdirSync(installed, { recursive: true })
    await finished(run('tar', ['-xzf', archive, '-C', installed, '--strip-components=1'], { cwd: folder }))
    for (const name of dependencyClosure()) {
      cpSync(join(root, 'node_modules', name), join(folder, 'node_modules', name), { recursive: true })
    }
    writeFileSync(join(folder, 'package.json'), JSON.stringify({ name: 'consumer', private: true }))
    const packed = listed.stdout
      .split('\n')
      .filter(Boolean)
      .map((path) => path.replace(/^package\//, ''))
      .sort()
    return {
      folder,
      installed,
      packed,
      run: (name, text, nodeArgs = []) => {
        writeFileSync(join(folder, name), text)
        return runNode([...nodeArgs, join(folder, name)], { cwd: folder })
      },
      [Symbol.dispose]: () => rmSync(folder, { recursive: true, force: true }),
    }
  } catch (error) {
    rmSync(folder, { recursive: true, force: true })
    throw error
  }
}

/** The packages that an install brings beside ours, read from the lock file: dependencies of dependencies too. */
export function dependencyClosure(): string[] {
  const { packages } = lockFile()
  const found = new Set(Object.keys(packageJson().dependencies))
  for (const name of found) {
    for (const next of Object.keys(packages[`node_modules/${name}`]?.dependencies ?? {})) found.add(next)
  }
  return [...found].sort()
}

/** package-lock.json, parsed: as much of it as is looked at. */
export interface LockFile {
  packages: Record<string, { dependencies?: Record<string, string>; resolved?: string }>
}

export function lockFile(): LockFile {
  return JSON.parse(read('package-lock.json')) as LockFile // written by npm
}

async function pack(folder: string): Promise<string> {
  await finished(run('npm', ['pack', '--ignore-scripts', '--pack-destination', folder], { cwd: root }))
  const archive = readdirSync(folder).find((name) => name.endsWith('.tgz'))
  if (archive === undefined) throw new Error('npm pack wrote no archive')
  return join(folder, archive)
}

async function finished(ending: Promise<Ended>): Promise<Ended> {
  const ended = await ending
  if (ended.code !== 0) throw new Error(`exit code ${ended.code}: ${ended.stderr || ended.stdout}`)
  return ended
}
