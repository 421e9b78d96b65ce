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

/** One line for each event that is worth one; tokens and progress are not. */
export function logEvent(logger: Logger, event: AgentEvent): void {
  switch (event.type) {
    case 'run_start':
      return logger.info('run started', event)
    case 'run_end':
      return event.status === 'failed' ? logger.error('run failed', event) : logger.info(`run ${event.status}`, event)
    case 'diagnostic':
      return logger.warn(event.message, event)
    case 'retry':
      return logger.warn(`model call failed, trying again in ${event.delayMs} ms: ${event.error.message}`, event)
    case 'tool_execution':
      if (event.status === 'failed') return logger.warn(`tool ${event.toolName} failed`, event)
      if (event.status !== 'progress') logger.debug(`tool ${event.toolName} ${event.status}`, event)
      return
    case 'usage':
    case 'plan':
    case 'step':
    case 'final_response':
      return logger.debug(event.type, event)
  }
}
