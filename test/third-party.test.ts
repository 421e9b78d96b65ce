import { readFileSync } from 'node:fs'
import { join } from 'node:path'
import { describe, expect, test } from 'vitest'
import { distProblem } from './support/dist.ts'
import { filesUnder, packageJson, read, root } from './support/repository.ts'

const sections = new Map(
  read('THIRD-PARTY.md')
    .split(/^## /m)
    .slice(1)
    .map((section): [name: string, text: string] => [section.split(' ')[0] ?? '', section]),
)

describe('THIRD-PARTY.md', () => {
  test('names every package that is compiled into dist', () => {
    expect(distProblem()).toBeUndefined()
    expect(compiledIn().filter((name) => !sections.has(name))).toEqual([])
  })

  test.each([...sections])('gives %s its version and the license text it came with', (name, section) => {
    const heading = section.split('\n')[0]
    expect(heading).toBe(`${name} ${packageJson().devDependencies[name]}`)
    const folder = join('node_modules', name)
    const license = filesUnder(folder).find((path) =>
      new RegExp(`^${folder}/licen[cs]e(\\.\\w+)?$`, 'i').test(path),
    )
    if (license === undefined) {
      const { license, author } = JSON.parse(read(`${folder}/package.json`)) as {
        license: string
        author: string
      } // as npm wants it
      expect(section).toContain(`License: ${license}. Author: ${author}.`)
    } else {
      expect(section).toContain(read(license).trim())
    }
  })
})

/** The packages whose files went into dist, read from its source maps. */
function compiledIn(): string[] {
  const sources = filesUnder('dist')
    .filter((path) => path.endsWith('.js.map'))
    .flatMap((path) => (JSON.parse(readFileSync(join(root, path), 'utf8')) as { sources: string[] }).sources) // source map v3
  const names = sources.flatMap((source) => /.*node_modules\/((?:@[^/]+\/)?[^/]+)\//.exec(source)?.[1] ?? [])
  return [...new Set(names)].sort()
}
