// The one place of a program in which its parts are made. Everything an agent depends on is given to it, so a test gives others.
import assert from 'node:assert/strict'
import {
  Agent,
  type ConversationStore,
  consoleLogger,
  type LLMClient,
  type Logger,
  MemoryStore,
  type Runtime,
  SimpleAgentMemory,
  systemRuntime,
  type Tool,
  tool,
} from 'tercet'
import { ScriptedClient } from 'tercet/testing'

/** What the program needs from the world. In production: OpenAIClient, SqliteStore or PostgresStore. */
interface World {
  readonly client: LLMClient
  readonly store: ConversationStore
  readonly runtime: Runtime
  readonly logger: Logger
}

function timeTool({ now }: Pick<Runtime, 'now'>): Tool {
  return tool({
    name: 'time',
    description: 'The time now',
    parameters: { type: 'object' },
    effect: 'read',
    execute: () => new Date(now()).toISOString(),
  }) as Tool // of any parameters, as agents take it
}

const compose = ({ client, store, runtime, logger }: World): Agent =>
  new Agent({ client, store, runtime, logger, tools: [timeTool(runtime)], memory: new SimpleAgentMemory() })

const world = { runtime: systemRuntime, logger: consoleLogger({ level: 'warn' }) }
const ada = compose({ ...world, client: new ScriptedClient(['Hello Ada.']), store: new MemoryStore() })
const bob = compose({ ...world, client: new ScriptedClient(['Hello Bob.']), store: new MemoryStore() })

// Two of them share nothing but what both were given.
assert.equal(await ada.run('I am Ada'), 'Hello Ada.')
assert.equal(await bob.run('I am Bob'), 'Hello Bob.')
assert.deepEqual([ada.history.length, bob.history.length], [2, 2])
