import { expect, test } from 'vitest'
import { errorCodes } from '../src/errors.ts'
import { codeHeadingsOf } from './support/markdown.ts'
import { read } from './support/repository.ts'

test('docs/errors.md has one heading for every error code, and none for a code that does not exist', () => {
  expect(codeHeadingsOf(read('docs/errors.md')).sort()).toEqual([...errorCodes].sort())
})
