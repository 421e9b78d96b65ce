// A budget for each customer and 30 days, kept where all servers see it.
import assert from 'node:assert/strict'
import { Agent, type BudgetAmounts, type BudgetLedger, budget } from 'tercet'
import { ScriptedClient, says } from 'tercet/testing'

// Stands for a table. In SQL the whole method is one statement: UPDATE … WHERE usd + $1 <= $2 RETURNING ….
const rows = new Map<string, BudgetAmounts>()
const ledger: BudgetLedger = {
  async add(key, amounts, most = {}) {
    const row = rows.get(key) ?? { nanoUsd: 0, tokens: 0, calls: 0, toolCalls: 0 }
    const names = Object.keys(row) as (keyof BudgetAmounts)[]
    const sum = { ...row }
    for (const name of names) sum[name] = row[name] + amounts[name]
    if (names.some((name) => sum[name] > (most[name] ?? Number.POSITIVE_INFINITY))) return undefined
    rows.set(key, sum)
    return sum
  },
}

/** One of several servers, on which an answer costs a dollar. */
function server() {
  const monthly = budget({
    usd: 3,
    per: 'principal',
    windowMs: 30 * 24 * 60 * 60 * 1000,
    prices: { 'scripted-1': { inputPerM: 1, outputPerM: 1000 } },
    ledger,
  })
  const client = new ScriptedClient(() => says('Done.', { usage: { inputTokens: 0, outputTokens: 1000 } }))
  const agent = new Agent({ client, budget: monthly, maxOutputTokens: 1000 })
  return { agent, monthly, client }
}

const [one, two] = [server(), server()]
const acme = { principal: 'acme' }
const { cost } = await one.agent.runStream('Work', acme).result
assert.deepEqual(cost, { usd: 1 })
await two.agent.run('Work', acme)

// The third dollar is not enough for the prompt as well: nothing is sent, on either server.
await assert.rejects(one.agent.run('Work', acme), { code: 'budget_exceeded', limit: 'usd', remaining: 1 })
const refused = await two.agent.runStream('Work', acme).result
assert.deepEqual([refused.status, refused.limit], ['limit', 'budget'])
assert.deepEqual([one.client.calls, two.client.calls], [1, 1])

// Another customer has all of it.
await two.agent.run('Work', { principal: 'globex' })
assert.deepEqual(two.monthly.spent({ principal: 'globex' }), { usd: 1 })
