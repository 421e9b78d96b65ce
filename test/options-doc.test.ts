import { expect, test } from 'vitest'
import { agentChecks, runChecks } from '../src/agent/options.ts'
import { codeSpansOf, tableOf } from './support/markdown.ts'
import { read } from './support/repository.ts'

const page = read('docs/agents-and-runs.md')

test.each([
  ['option', agentChecks],
  ['run option', runChecks],
])('docs/agents-and-runs.md has one row for every %s, and none that does not exist', (header, checks) => {
  const named = tableOf(page, header).flatMap(([names = '']) => codeSpansOf(names))
  expect(named.sort()).toEqual(Object.keys(checks).sort())
})
