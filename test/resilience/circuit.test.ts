import { expect, test } from 'vitest'
import { Circuit, type CircuitState, type Passage } from '../../src/resilience/circuit.ts'
import { CircuitModel, type ModelSettings } from './circuit-model.ts'

/** The same numbers for the same seed, in [0, 1). */
function randomFrom(seed: number): () => number {
  let state = seed
  return () => {
    state = (state + 0x6d2b79f5) | 0
    let bits = Math.imul(state ^ (state >>> 15), state | 1)
    bits ^= bits + Math.imul(bits ^ (bits >>> 7), bits | 61)
    return ((bits ^ (bits >>> 14)) >>> 0) / 2 ** 32
  }
}

/** Plays one random life of a circuit and of its model: the states it went through, or the first difference. */
function live(seed: number): readonly CircuitState[] | string {
  const random = randomFrom(seed)
  const upTo = (most: number) => 1 + Math.floor(random() * most)
  const pick = <Value>(...values: readonly [Value, ...Value[]]): Value =>
    values[Math.floor(random() * values.length)] ?? values[0]
  const initial = upTo(3)
  const halfOpen = { initial, step: pick<'double' | number>('double', 1, 2), max: initial + upTo(3) - 1 }
  const rest = {
    failureRate: pick(0.1, 0.3, 0.5, 0.75, 1),
    minSamples: upTo(5),
    windowMs: upTo(40),
    openMs: upTo(10),
  }
  const settings: ModelSettings = { ...rest, ...halfOpen }

  let now = 0
  const changes: [CircuitState, CircuitState][] = []
  const circuit = new Circuit({
    settings: { ...rest, halfOpen },
    now: () => now,
    onChange: (...change) => changes.push(change),
  })
  const model = new CircuitModel(settings)
  const passages: Passage[] = []
  let illness = 1
  for (let move = 0; move < 32; move++) {
    // Mostly the last ones, some of those before, and some that were settled long ago.
    const index = passages.length - upTo(random() < 0.9 ? 2 : passages.length)
    const dice = random()
    if (move % 10 === 9) illness = pick(0, 0, 1, random())
    if (dice < 0.2) now += upTo(12)
    else if (dice < 0.6) {
      const entry = circuit.enter()
      const expected = model.enter(now)
      if (typeof entry === 'string' || typeof expected === 'string') {
        if (entry !== expected) return `seed ${seed}, move ${move}: enters ${String(entry)}, not ${expected}`
      } else passages.push(entry)
    } else if (dice < 0.7) {
      passages[index]?.begun()
      model.begun(index)
    } else {
      const outcome = random() < 0.1 ? 'neither' : random() < illness ? 'failure' : 'success'
      passages[index]?.settle(outcome)
      model.settle(index, outcome, now)
    }
    // The state first: to ask for it is what makes an open circuit half-open.
    const seen = [circuit.state, circuit.samples.length, circuit.failures].join()
    const wanted = [model.state(now), ...Object.values(model.window(now))].join()
    if (seen !== wanted) return `seed ${seed}, move ${move}: is ${seen}, not ${wanted}`
  }
  const stays = model.stays.map(({ state }) => state)
  const told = ['closed', ...changes.map(([, to]) => to)]
  return stays.join() === told.join() ? stays : `seed ${seed}: told ${told}, not ${stays}`
}

test('a circuit is what its model says, in 100,000 random lives', { timeout: 60_000 }, () => {
  const differences: string[] = []
  const seen = { closed: 0, half_open: 0, open: 0 }
  for (let seed = 1; seed <= 100_000; seed++) {
    const lived = live(seed)
    if (typeof lived === 'string') differences.push(lived)
    else for (const state of lived.slice(1)) seen[state] += 1
  }
  expect(differences.slice(0, 5)).toEqual([])
  // Lives in which nothing happens would prove nothing.
  expect(Math.min(...Object.values(seen))).toBeGreaterThan(2_000)
})
