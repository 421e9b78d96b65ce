import { codeSpansOf, tableOf } from './markdown.ts'
import { importsOf, type SourceImport, type Sources } from './source-imports.ts'

/** One row of the floors table: its number and the paths it names, without `src/` and `.ts`; a folder ends in `/`. */
export interface Floor {
  floor: number
  /** Whether a file may import only its own folder on this floor, or any file of it. */
  sideways: 'own folder' | 'any'
  places: readonly string[]
}

/** Reads the floors table of docs/architecture.md. */
export function floorsOf(markdown: string): Floor[] {
  return tableOf(markdown, 'floor').map(([floor = '', , sideways = '', files = '']) => ({
    floor: Number(floor),
    sideways: sideways === 'any' ? 'any' : 'own folder',
    places: codeSpansOf(files),
  }))
}

/** The floor a file stands on; undefined when no row names it. A row that names the file beats one that names its folder. */
export function floorOf(path: string, floors: readonly Floor[]): Floor | undefined {
  const name = path.replace(/^src\//, '').replace(/\.ts$/, '')
  const exact = floors.find(({ places }) => places.includes(name))
  const folder = floors.find(({ places }) =>
    places.some((place) => place.endsWith('/') && name.startsWith(place)),
  )
  return exact ?? folder
}

/** Every import that climbs, crosses to another part of its floor or closes a circle, and every file on no floor. */
export function floorViolations(sources: Sources, floors: readonly Floor[]): string[] {
  const imports = importsOf(sources).filter((each) => each.target !== undefined)
  return [
    ...[...sources.keys()].flatMap((path) =>
      floorOf(path, floors) === undefined
        ? [`${path} fits no floor: give it a row in the floors table of docs/architecture.md`]
        : [],
    ),
    ...imports.flatMap((each) => violationOf(each, sources, floors)),
    ...circlesOf(sources, imports).map((circle) => `circle: ${circle.join(' → ')}`),
  ]
}

function violationOf(
  { from, line, target = '' }: SourceImport,
  sources: Sources,
  floors: readonly Floor[],
): string[] {
  const where = `${from}:${line}`
  if (!sources.has(target)) return [`${where} imports ${target}, which is no file of src`]
  const own = floorOf(from, floors)
  const other = floorOf(target, floors)
  if (own === undefined || other === undefined) return []
  if (other.floor > own.floor) {
    return [`${where} (floor ${own.floor}) climbs to ${target} (floor ${other.floor})`]
  }
  if (other.floor === own.floor && own.sideways === 'own folder' && folderOf(from) !== folderOf(target)) {
    return [
      `${where} crosses floor ${own.floor} to ${target}: here a file imports lower floors and its own folder only`,
    ]
  }
  return []
}

/** The folder directly in src that a file belongs to; empty for a file directly in src. */
function folderOf(path: string): string {
  const [, first = '', ...rest] = path.split('/')
  return rest.length > 0 ? first : ''
}

/** One circle for each group of files that import one another, as the paths along it, the first one repeated. */
function circlesOf(sources: Sources, imports: readonly SourceImport[]): string[][] {
  const targets = new Map([...sources.keys()].map((path): [string, string[]] => [path, []]))
  for (const { from, target = '' } of imports) if (targets.has(target)) targets.get(from)?.push(target)
  const done = new Set<string>()
  const circles: string[][] = []
  const walk = (path: string, trail: readonly string[]): void => {
    const start = trail.indexOf(path)
    if (start >= 0) {
      circles.push([...trail.slice(start), path])
    } else if (!done.has(path)) {
      for (const target of targets.get(path) ?? []) walk(target, [...trail, path])
      done.add(path)
    }
  }
  for (const path of targets.keys()) walk(path, [])
  return circles
}
