import type { Hooks } from '../../../src/agent/hooks.ts'
import type { AgentOptions } from '../../../src/agent/options.ts'
import type { AgentMemory } from '../../../src/memory/memory.ts'
import { SimpleAgentMemory } from '../../../src/memory/simple.ts'
import type { Message } from '../../../src/messages.ts'
import type { StandardSchema } from '../../../src/tools/tool.ts'
import type { OptionPlan } from './scenario.ts'
import type { ToolStage } from './tools.ts'

/** The options of an agent as planned; what is hostile in them is not once the stage is calm. */
export function agentOptions(plan: OptionPlan, stage: ToolStage): Omit<AgentOptions<unknown>, 'client'> {
  const {
    maxToolRounds,
    contextWindow,
    maxOutputTokens,
    memory,
    output,
    hooks,
    retry,
    instructions,
    ...plain
  } = plan
  const { protocol, planning, maxIterations, timeoutMs, graceMs, onLimit, toolConcurrency } = plain
  const managed = memoryOf(memory, stage)
  return {
    protocol,
    planning,
    maxIterations,
    timeoutMs,
    graceMs,
    onLimit,
    toolConcurrency,
    maxToolOutput: plain.maxToolOutput,
    maxConsecutiveToolErrors: plain.maxConsecutiveToolErrors,
    stream: plain.stream,
    instructions,
    ...(maxToolRounds !== undefined && { maxToolRounds }),
    ...(contextWindow !== undefined && { contextWindow }),
    ...(maxOutputTokens !== undefined && { maxOutputTokens }),
    ...(managed !== undefined && { memory: managed }),
    ...(output !== 'text' && { output: outputSchema(output, stage) }),
    ...(hooks !== 'none' && { hooks: hookOf(hooks, plain.stage, stage) }),
    ...(!retry && { retry: false as const }),
  }
}

function memoryOf(kind: OptionPlan['memory'], stage: ToolStage): AgentMemory | null | undefined {
  if (kind === 'default') return undefined
  if (kind === 'off') return null
  if (kind === 'simple') return new SimpleAgentMemory({ maxHistoryTokens: 60 })
  return {
    manageHistory: (history) => (stage.isCalm ? history : manage(kind, history)),
  }
}

function manage(kind: OptionPlan['memory'], history: readonly Message[]): never {
  return managed() as never // hostile: not always what the type says

  function managed(): unknown {
    switch (kind) {
      case 'throws':
        throw new Error('the memory broke')
      case 'rejects':
        return Promise.reject(null)
      case 'hangs':
        return new Promise(() => {})
      case 'garbage':
        return 'nothing'
      case 'garbage messages':
        return [...history, { role: 'tool' }, null]
      case 'nothing':
        return []
      case 'backwards':
        return history.toReversed()
      case 'results only':
        return history.filter(({ role }) => role === 'tool')
      case 'own words':
        return [
          { role: 'system', content: 'What was said before: nothing.' },
          { role: 'assistant', content: '', toolCalls: [{ id: 'own', toolName: 't0', parameters: {} }] },
          ...history,
        ]
      default:
        return [...history, ...history]
    }
  }
}

/** Accepts `{ n: number }`. */
function outputSchema(kind: OptionPlan['output'], stage: ToolStage): StandardSchema {
  const json = { type: 'object', properties: { n: { type: 'number' } }, required: ['n'] }
  const check = (value: unknown) =>
    typeof value === 'object' && value !== null && 'n' in value
      ? { value: { n: value.n } }
      : { issues: [{ message: 'n is missing' }] }
  return {
    '~standard': {
      version: 1,
      vendor: 'laws',
      validate: (value) => {
        if (stage.isCalm || kind === 'json') return check(value)
        if (kind === 'throws') throw new Error('the schema broke')
        if (kind === 'hangs') return new Promise(() => {})
        stage.asleep++
        return stage.runtime.sleep(2_000).then(() => {
          stage.asleep--
          return check(value)
        })
      },
      jsonSchema: { input: () => json },
    } as StandardSchema['~standard'],
  }
}

function hookOf(kind: OptionPlan['hooks'], at: OptionPlan['stage'], stage: ToolStage): Hooks {
  const hook = (): undefined | Promise<never> => {
    if (stage.isCalm) return undefined
    if (kind === 'hangs') return new Promise(() => {})
    if (kind === 'rejects') return Promise.reject(null)
    throw new Error('the hook broke')
  }
  return { ...(kind === 'strict' && { strict: true }), [at]: hook }
}
