import { describe, expect, test } from 'vitest'
import { codeHeadingsOf, fencesOf, headingsOf, tableOf } from './support/markdown.ts'

describe('reading a page', () => {
  test('finds fences with their info strings and lines, closed by their own kind or a longer one', () => {
    const page = [
      '```ts no-run',
      '~~~',
      '# not a heading',
      '````',
      '- item',
      '  ~~~',
      '  indented',
      '    more',
      '  ```',
      '  ~~~',
      '```',
      'open to the end',
    ].join('\n')
    expect(fencesOf(page)).toEqual([
      { info: 'ts no-run', code: '~~~\n# not a heading\n', line: 2 },
      { info: '', code: 'indented\n  more\n```\n', line: 7 },
      { info: '', code: 'open to the end\n', line: 12 },
    ])
  })

  test('finds headings outside fences, and those that are nothing but a name', () => {
    const page = '# Page\n## `one`\n```sh\n# not a heading\n```\n### `two`, and more\n#### `one` ####\n'
    expect(headingsOf(page)).toEqual(['Page', '`one`', '`two`, and more', '`one`'])
    expect(codeHeadingsOf(page)).toEqual(['one', 'one'])
  })

  test('finds the table that starts with a header, row by row', () => {
    const page =
      'text\n\n| x | y |\n|---|---|\n| 0 | 0 |\n\n| a | b |\n|---|---|\n| 1 | `x` |\n| 2 |  |\n\n| 3 | 4 |'
    expect(tableOf(page, 'a')).toEqual([
      ['1', '`x`'],
      ['2', ''],
    ])
    expect(tableOf(page, 'z')).toEqual([])
  })
})
