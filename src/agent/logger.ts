import type { AgentEvent } from '../events.ts'

/** Where an agent writes what happens. Any logger with these four methods fits; the default is silence. */
export interface Logger {
  debug(message: string, details?: object): void
  info(message: string, details?: object): void
  warn(message: string, details?: object): void
  error(message: string, details?: object): void
}

const levels = ['debug', 'info', 'warn', 'error'] as const

export type LogLevel = (typeof levels)[number]

/** Writes to the console what is at least of this level. Default `'info'`. */
export function consoleLogger(options: { level?: LogLevel } = {}): Logger {
  const least = levels.indexOf(options.level ?? 'info')
  const write =
    (level: LogLevel) =>
    (message: string, details: object = {}): void => {
      if (levels.indexOf(level) >= least) console[level](`tercet ${level}: ${message}`, details)
    }
  return { debug: write('debug'), info: write('info'), warn: write('warn'), error: write('error') }
}

/** Writes one line for each event that is worth one; tokens and progress are not. Gives back what the logger does. */
export function logEvent(logger: Logger, event: AgentEvent): unknown {
  const line = lineOf(event)
  return line && logger[line.level](line.message, event)
}

function lineOf(event: AgentEvent): { level: LogLevel; message: string } | undefined {
  switch (event.type) {
    case 'run_start':
      return { level: 'info', message: 'run started' }
    case 'run_end':
      return { level: event.status === 'failed' ? 'error' : 'info', message: `run ${event.status}` }
    case 'diagnostic':
      return { level: 'warn', message: event.message }
    case 'retry': {
      const { error, delayMs } = event
      return { level: 'warn', message: `model call failed, next attempt in ${delayMs} ms: ${error.message}` }
    }
    case 'failover': {
      const { from, to, error } = event
      const message = `${from.provider}/${from.model} failed, ${to.provider}/${to.model} is asked: ${error.message}`
      return { level: 'warn', message }
    }
    case 'tool_execution': {
      const { status, toolName } = event
      if (status === 'progress') return undefined
      return { level: status === 'failed' ? 'warn' : 'debug', message: `tool ${toolName} ${status}` }
    }
    case 'approval_required':
      return { level: 'info', message: `tool ${event.toolName} waits for approval` }
    case 'compaction':
      return { level: 'info', message: `${event.messagesCompacted} messages compacted` }
    case 'steering':
    case 'usage':
    case 'plan':
    case 'step':
    case 'final_response':
      return { level: 'debug', message: event.type }
    default:
      return undefined
  }
}
