import { expect, test } from 'vitest'
import { eventTypes } from '../src/events.ts'
import { codeHeadingsOf } from './support/markdown.ts'
import { read } from './support/repository.ts'

test('docs/events.md has one heading for every event type, and none for a type that does not exist', () => {
  expect(codeHeadingsOf(read('docs/events.md')).sort()).toEqual([...eventTypes].sort())
})
