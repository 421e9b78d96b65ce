import { isLLMError } from '../../client/thrown.ts'
import type { StrictFault, StrictReply } from '../strict-contract.ts'
import {
  checkAborted,
  heardFrom,
  hello,
  helloWithTools,
  type MakeClient,
  plain,
  Stage,
  turns,
  until,
  watchedSignal,
} from './client-stage.ts'
import { same, thrownBy } from './expectations.ts'

const long: StrictReply = { text: 'One two three four five six.', usage: { inputTokens: 1, outputTokens: 6 } }
const waiting: StrictFault = { fault: 'hang' }
const halfway: StrictFault = { fault: 'hang', reply: long, after: 'content' }

/** How calls begin, end and are ended, by name. */
export const endingCases = {
  async 'sends nothing before the first pull'(make: MakeClient): Promise<void> {
    await using stage = await Stage.open(make)
    if (!stage.verbs.includes('stream')) return
    stage.subject.script([long])
    const stream = stage.streamOf(hello)
    const iterator = stream[Symbol.asyncIterator]()
    await turns(20)
    same(stage.subject.requests, 0, 'the requests before the first pull')
    await iterator.next()
    same(stage.subject.requests, 1, 'the requests after the first pull')
    await iterator.return?.()
    await stage.quiet()
  },

  async 'ends a stream with exactly one end, and stays ended'(make: MakeClient): Promise<void> {
    await using stage = await Stage.open(make)
    if (!stage.verbs.includes('stream')) return
    stage.subject.script([long])
    const iterator = stage.streamOf(hello)[Symbol.asyncIterator]()
    await heardFrom({ [Symbol.asyncIterator]: () => iterator })
    for (let pull = 0; pull < 2; pull++) {
      same(await iterator.next(), { done: true, value: undefined }, 'a pull after the end')
    }
    same(stage.subject.requests, 1, 'the requests')
    await stage.quiet()
  },

  async 'sends nothing when its signal had aborted'(make: MakeClient): Promise<void> {
    await using stage = await Stage.open(make)
    for (const verb of stage.verbs) {
      const reason = new Error('before')
      const thrown = await thrownBy(stage.ask(verb, long, { signal: AbortSignal.abort(reason) }))
      checkAborted(thrown, reason, verb)
    }
    same(stage.subject.requests, 0, 'the requests')
  },

  async 'ends at once when its signal aborts before the answer begins'(make: MakeClient): Promise<void> {
    await using stage = await Stage.open(make)
    for (const verb of stage.verbs) {
      const before = stage.subject.requests
      const { controller, listeners } = watchedSignal()
      const reason = new Error('waiting')
      const thrown = thrownBy(stage.ask(verb, waiting, { signal: controller.signal }))
      await until(() => stage.subject.requests > before)
      controller.abort(reason)
      checkAborted(await thrown, reason, verb)
      same(listeners(), 0, `${verb}: the listeners that are left on the signal`)
      await stage.quiet()
    }
  },

  async 'ends at once when its signal aborts in the middle, and is no whole answer'(
    make: MakeClient,
  ): Promise<void> {
    await using stage = await Stage.open(make)
    if (!stage.verbs.includes('stream')) return
    const { controller, listeners } = watchedSignal()
    const reason = new Error('halfway')
    stage.subject.script([halfway])
    const types: string[] = []
    const stream = stage.streamOf(hello, { signal: controller.signal })
    const thrown = await thrownBy(
      (async () => {
        for await (const { type } of stream) {
          types.push(type)
          controller.abort(reason)
        }
      })(),
    )
    checkAborted(thrown, reason, 'a stream')
    same(types, ['text'], 'what was told')
    same(listeners(), 0, 'the listeners that are left on the signal')
    await stage.quiet()
  },

  async 'is not changed by an abort after its end, and lets go of the signal'(
    make: MakeClient,
  ): Promise<void> {
    await using stage = await Stage.open(make)
    for (const verb of stage.verbs) {
      const { controller, listeners } = watchedSignal()
      const { response } = await stage.ask(verb, long, { signal: controller.signal })
      same(listeners(), 0, `${verb}: the listeners that are left on the signal`)
      controller.abort(new Error('too late'))
      same(response.text, long.text, `${verb}: the text`)
      await stage.quiet()
    }
  },

  async 'lets go of the signal after a failure'(make: MakeClient): Promise<void> {
    await using stage = await Stage.open(make)
    for (const verb of stage.verbs) {
      const { controller, listeners } = watchedSignal()
      await stage.failure(verb, { fault: 'invalid_request' }, { signal: controller.signal })
      same(listeners(), 0, `${verb}: the listeners that are left on the signal`)
    }
  },

  async 'cancels the request when its stream is left'(make: MakeClient): Promise<void> {
    await using stage = await Stage.open(make)
    if (!stage.verbs.includes('stream')) return
    const { controller, listeners } = watchedSignal()
    stage.subject.script([halfway])
    for await (const { type } of stage.streamOf(hello, { signal: controller.signal })) {
      same(type, 'text', 'the first chunk')
      break
    }
    await stage.quiet()
    same(listeners(), 0, 'the listeners that are left on the signal')
  },

  async 'answers two calls at once, each with its own answer'(make: MakeClient): Promise<void> {
    await using stage = await Stage.open(make)
    for (const verb of stage.verbs) {
      const texts = ['First. Erste.', 'Second. Zweite.']
      stage.subject.script(texts.map((text) => ({ text })))
      const { client } = stage.subject
      const ask = async () =>
        verb === 'call' ? client.call(hello) : (await heardFrom(stage.streamOf(hello))).response
      const heard = await Promise.all([ask(), ask()])
      same(heard.map(({ text }) => text).sort(), texts, verb)
    }
    await stage.quiet()
  },

  async 'leaves the request as it was, also a frozen one'(make: MakeClient): Promise<void> {
    await using stage = await Stage.open(make)
    const request = {
      ...helloWithTools,
      system: 'Be brief.',
      toolChoice: 'auto',
      params: { maxOutputTokens: 100, stop: ['END'] },
    } as const
    const before = structuredClone(request)
    const frozen = deepFrozen(structuredClone(request))
    for (const verb of stage.verbs) await stage.ask(verb, long, { request: frozen })
    same(frozen, before, 'the request')
  },

  async 'answers again after a failure, an abort and a stream that was left'(
    make: MakeClient,
  ): Promise<void> {
    await using stage = await Stage.open(make)
    for (const verb of stage.verbs) {
      await stage.failure(verb, { fault: 'overloaded' })
      const controller = new AbortController()
      const before = stage.subject.requests
      const aborted = thrownBy(stage.ask(verb, waiting, { signal: controller.signal }))
      await until(() => stage.subject.requests > before)
      controller.abort()
      await aborted
      const { response } = await stage.ask(verb, long)
      same(plain(response).text, long.text, verb)
    }
    await stage.quiet()
  },

  async 'closes, also twice'(make: MakeClient): Promise<void> {
    await using stage = await Stage.open(make)
    await stage.ask('call', long)
    for (let time = 0; time < 2; time++) {
      const closed = await stage.subject.client.close?.().catch((error: unknown) => error)
      if (closed !== undefined) throw new Error('It does not close.', { cause: closed })
    }
    await stage.quiet()
  },

  async 'fails with errors that are instances of Error'(make: MakeClient): Promise<void> {
    await using stage = await Stage.open(make)
    const error = await stage.failure('call', { fault: 'server_error' })
    same([error instanceof Error, isLLMError(error)], [true, true], 'what it is')
  },
}

function deepFrozen<Value>(value: Value): Value {
  if (typeof value === 'object' && value !== null) {
    for (const member of Object.values(value)) deepFrozen(member)
    Object.freeze(value)
  }
  return value
}
