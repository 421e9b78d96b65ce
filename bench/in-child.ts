/** What is measured inside of a process, by name: each in a fresh one, for one contestant. */
import { mkdtempSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import type { Contestant, Said } from './contestant.ts'
import { baseURL } from './contestant.ts'

export type Values = Readonly<Record<string, number>>

const question = 'What is the answer?'

/** Microseconds of processor time, of all threads, that `work` took. */
async function cpuOf(work: () => Promise<void>): Promise<number> {
  const before = process.cpuUsage()
  await work()
  const { user, system } = process.cpuUsage(before)
  return user + system
}

async function times(count: number, work: () => Promise<void>): Promise<void> {
  for (let done = 0; done < count; done++) await work()
}

function check(answer: string, expected: string | RegExp): void {
  const isRight = typeof expected === 'string' ? answer === expected : expected.test(answer)
  if (!isRight) throw new Error(`Wrong answer: ${answer.slice(0, 200)}`)
}

/** CPU of one run after another, in microseconds each. */
async function cpuPerRun(warm: number, count: number, run: () => Promise<void>): Promise<number> {
  await times(warm, run)
  return (await cpuOf(() => times(count, run))) / count
}

const settle = () => new Promise((resolve) => setTimeout(resolve, 50))

/**
 * What is kept, in bytes. What `fetch` hangs on finalizers (signals of requests that are over) goes after a collection, in a
 * task of its own, and what it held goes with the next one.
 */
async function collected(): Promise<number> {
  for (let turn = 0; turn < 5; turn++) {
    await settle()
    globalThis.gc?.()
  }
  return process.memoryUsage().heapUsed
}

async function provider<T>(path: string): Promise<T> {
  return (await fetch(new URL(path, baseURL))).json() as Promise<T> // our own server
}

const ten = 'tools-9'
const sum = 'The sum is 9.'

export const inChild: Readonly<Record<string, (contestant: Contestant) => Promise<Values>>> = {
  start: async ({ ask }) => {
    check(await ask('start', question), 'Started.')
    const { user, system } = process.cpuUsage()
    return { cpu: user + system }
  },

  'one-shot': async ({ ask }) => {
    const run = async () => check(await ask('answer', question), 'The answer is 42.')
    return { cpu: await cpuPerRun(1_500, 2_000, run) }
  },

  tools: async ({ ask }) => {
    const run = async () => check(await ask(ten, question), sum)
    return { cpu: await cpuPerRun(300, 300, run) }
  },

  'tools-streamed': async ({ ask }) => {
    const run = async () => {
      let text = ''
      check(
        await ask(ten, question, (piece) => {
          text += piece
        }),
        sum,
      )
      check(text, sum)
    }
    return { cpu: await cpuPerRun(300, 300, run) }
  },

  tokens: (contestant) => tokens(contestant, 'tokens'),
  fresh: (contestant) => tokens(contestant, 'fresh'),

  'first-token': async ({ ask }) => {
    const waits: number[] = []
    const run = async () => {
      const start = process.hrtime.bigint()
      let first: bigint | undefined
      await ask('tokens-100', question, () => {
        first ??= process.hrtime.bigint()
      })
      waits.push(Number((first ?? 0n) - start) / 1e3)
    }
    await times(150, run)
    waits.length = 0
    await times(300, run)
    waits.sort((a, b) => a - b)
    return { wall: waits[waits.length >> 1] ?? Number.NaN }
  },

  concurrent: async ({ ask }) => {
    await times(20, async () => check(await ask(ten, question), sum))
    const start = process.hrtime.bigint()
    const cpu = await cpuOf(async () => {
      const answers = await Promise.all(Array.from({ length: 1_000 }, () => ask(ten, question)))
      for (const answer of answers) check(answer, sum)
    })
    const wall = Number(process.hrtime.bigint() - start) / 1e3
    return { wall, cpu, rss: process.resourceUsage().maxRSS * 1024 }
  },

  'turn-100': (contestant) => turn(contestant, 100, 200, 400),
  'turn-1000': (contestant) => turn(contestant, 1_000, 40, 80),
  'turn-5000': (contestant) => turn(contestant, 5_000, 30, 40),

  envelope: async ({ ask }) => {
    const length = 5_000_000
    const run = async () => {
      const answer = await ask(`envelope-${length}`, question, () => {})
      const text = answer.startsWith('{')
        ? (JSON.parse(answer) as { final_answer: string }).final_answer
        : answer
      if (text.length !== length) throw new Error(`${text.length} characters`)
    }
    return { cpu: await cpuPerRun(1, 2, run) }
  },

  idle: async ({ talk }) => {
    const count = 2_000
    const kept: unknown[] = []
    const begin = async () => {
      const say = talk('answer', [])
      check(await say(question), 'The answer is 42.')
      return say
    }
    // So often that what is compiled on the way, half a megabyte, is compiled before.
    await times(count, async () => {
      await begin()
    })
    const before = await collected()
    await times(count, async () => {
      kept.push(await begin())
    })
    const bytes = ((await collected()) - before) / count
    return { heap: kept.length === count ? bytes : Number.NaN }
  },

  /** What it takes to keep a message, as a part of its JSON. */
  kept: async ({ talk }) => {
    const text = JSON.stringify(saidOf(5_000))
    const begin = async () => {
      const say = talk('answer', JSON.parse(text) as Said[]) // written above
      check(await say(question), 'The answer is 42.')
      return say
    }
    // What is compiled for a long conversation, half a megabyte, is compiled before.
    await times(20, async () => {
      await begin()
    })
    const before = await collected()
    const say = await begin()
    const kept = (await collected()) - before
    check(await say(question), 'The answer is 42.')
    return { heap: kept / text.length }
  },

  append: async ({ keep }) => {
    const folder = mkdtempSync(join(tmpdir(), 'bench-'))
    const keeper = await keep?.(join(folder, 'kept.db'))
    const said = saidOf(2_200)
    const append = async () => keeper?.append(said.pop() ?? { role: 'user', content: '' })
    const cpu = await cpuPerRun(200, 2_000, append)
    await keeper?.close()
    rmSync(folder, { recursive: true })
    return { cpu }
  },

  live: async ({ ask }) => {
    const count = 500
    await times(50, async () => {
      await ask('answer', question)
    })
    const before = await collected()
    const runs = Array.from({ length: count }, () => ask('hold', question))
    while ((await provider<{ held: number }>('/tally')).held < count) await settle()
    const heap = ((await collected()) - before) / count
    await provider('/release')
    for (const answer of await Promise.all(runs)) check(answer, 'Held.')
    return { heap }
  },
}

const saidOf = (count: number): Said[] =>
  Array.from({ length: count }, (_, index) => ({
    role: index % 2 === 0 ? 'user' : 'assistant',
    content: `Message ${index}: a sentence or two, as people write them, of about a hundred characters in all.`,
  }))

async function turn({ talk }: Contestant, messages: number, warm: number, count: number): Promise<Values> {
  const say = talk('answer', saidOf(messages))
  return { cpu: await cpuPerRun(warm, count, async () => check(await say(question), 'The answer is 42.')) }
}

async function tokens({ ask }: Contestant, scenario: string): Promise<Values> {
  const count = 5_000
  const run = async () => {
    let pieces = 0
    const answer = await ask(`${scenario}-${count}`, question, () => {
      pieces += 1
    })
    if (answer.length !== count * 5 || pieces !== count) {
      throw new Error(`${answer.length} characters in ${pieces} pieces`)
    }
  }
  return { cpu: (await cpuPerRun(15, 40, run)) / count }
}

/** What a child process does: measures, and prints what it found. */
export async function main(contestant: Contestant): Promise<void> {
  const measured = await inChild[process.argv[2] ?? '']?.(contestant)
  console.log(JSON.stringify(measured))
  // Connections that are kept alive would hold it up.
  process.exit()
}
