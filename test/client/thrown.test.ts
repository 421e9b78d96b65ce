import { describe, expect, test } from 'vitest'
import { clientError, isLLMError } from '../../src/client/thrown.ts'
import { ConfigurationError, LLMError } from '../../src/errors.ts'

const source = { provider: 'p', model: 'm' }

describe('what a client threw', () => {
  test.each([
    [401, 'auth', false],
    [403, 'auth', false],
    [402, 'quota', false],
    [404, 'not_found', false],
    [408, 'timeout', true],
    [422, 'invalid_request', false],
    [429, 'rate_limit', true],
    [500, 'overloaded', true],
    [599, 'overloaded', true],
    [302, 'unknown', false],
  ])('with status %i is of kind %s', (status, kind, retryable) => {
    const thrown = Object.assign(new Error('wire'), { status })
    const error = clientError(thrown, source)
    expect(error).toMatchObject({
      name: 'LLMError',
      message: 'wire',
      kind,
      status,
      retryable,
      provider: 'p',
      model: 'm',
    })
    expect(error.cause).toBe(thrown)
  })

  test('without a numeric status is unknown, whatever it is', () => {
    const hostile = {
      get status() {
        throw new Error('no')
      },
    }
    for (const thrown of [
      new TypeError('x'),
      'text',
      null,
      undefined,
      { status: '429' },
      { status: Number.NaN },
      hostile,
    ]) {
      const error = clientError(thrown, source)
      expect(error).toMatchObject({ code: 'llm', kind: 'unknown', retryable: false })
      expect(error.cause).toBe(thrown)
      expect(error).not.toHaveProperty('status')
    }
  })

  test('stays itself when it is an error of this library', () => {
    const failure = new LLMError('x', { ...source, kind: 'network' })
    const mistake = new ConfigurationError('model', 'x')
    expect([clientError(failure, source), clientError(mistake, source)]).toEqual([failure, mistake])
    expect([isLLMError(failure), isLLMError(mistake), isLLMError({ code: 'llm' })]).toEqual([
      true,
      false,
      false,
    ])
  })

  test('is an abort after the signal aborted, with its reason', () => {
    const signal = AbortSignal.abort('enough')
    expect(clientError(new Error('x'), source, signal)).toMatchObject({ kind: 'aborted', cause: 'enough' })
    const own = new LLMError('x', { ...source, kind: 'aborted' })
    expect(clientError(own, source, signal)).toBe(own)
    expect(clientError(own, source, new AbortController().signal)).toBe(own)
  })
})
