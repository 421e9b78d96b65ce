import { styleText } from 'node:util'
import type { AgentEvent, AgentToolExecutionEvent, JsonValue, RunResult, ToolCall, ToolResult } from 'tercet'

type Style = 'plain' | 'dim' | 'bold' | 'cyan' | 'yellow' | 'red'

/** Shows a run as it happens: its steps a line each, the answer word by word, and what it took at the end. */
export class Terminal {
  readonly #write: (text: string) => void
  readonly #colors: boolean
  readonly #calls = new Map<string, ToolCall>()
  /** What was streamed in this iteration. */
  #streamed = ''
  #atLineStart = true
  #executions = 0
  #modelCalls = 0

  constructor(write: (text: string) => void, colors: boolean) {
    this.#write = write
    this.#colors = colors
  }

  show(event: AgentEvent): void {
    switch (event.type) {
      case 'stream_start':
        this.#streamed = ''
        break
      case 'token':
        if (event.channel === 'answer') this.#stream(event.text)
        break
      case 'plan':
        this.#line(`Plan\n${event.plan.replace(/^/gm, '  ')}`, 'cyan')
        break
      case 'step':
        for (const call of event.toolCalls) this.#calls.set(call.id, call)
        // Text that came before the calls was streamed, as it might have been the answer.
        if (event.thought !== undefined && event.thought !== this.#streamed) this.#line(event.thought, 'dim')
        break
      case 'tool_execution':
        this.#execution(event)
        break
      case 'usage':
        this.#modelCalls += 1
        break
      case 'retry':
        this.#line(`! ${event.error.message} Trying again in ${seconds(event.delayMs)}.`, 'yellow')
        break
      case 'diagnostic':
        this.#line(`! ${event.message}`, 'yellow')
        break
      case 'final_response':
        if (this.#streamed === '') this.#stream(textOf(event.answer))
        break
    }
  }

  /** One line: model calls, tools, tokens, time. */
  end({ usage, timing }: RunResult): void {
    const tokens = `${number(usage.inputTokens)} in / ${number(usage.outputTokens)} out tokens`
    const parts = [
      counted(this.#modelCalls, 'model call'),
      counted(this.#executions, 'tool'),
      `${tokens}${usage.estimated ? ' (estimated)' : ''}`,
      seconds(timing.totalMs),
    ]
    this.#line('')
    this.#line(parts.join(' · '), 'dim')
  }

  notice(text: string): void {
    this.#line(text, 'dim')
    this.#line('')
  }

  #execution(event: AgentToolExecutionEvent): void {
    const { toolName, status } = event
    if (status === 'progress') return
    if (status === 'started') {
      this.#executions += 1
      const call = this.#calls.get(event.callId)
      this.#line(`→ ${toolName}${call ? ` ${brief(call.parameters)}` : ''}`, 'bold')
      return
    }
    const { result } = event
    if (result.ok) this.#line(`← ${toolName}: ${size(result)}`, 'dim')
    else this.#line(`✗ ${toolName} ${status}: ${result.output}`, 'red')
  }

  #stream(text: string): void {
    if (this.#streamed === '') this.#line('')
    this.#streamed += text
    this.#put(printable(text))
  }

  #line(text: string, style: Style = 'plain'): void {
    if (!this.#atLineStart) this.#put('\n')
    const shown = printable(text)
    const isStyled = this.#colors && style !== 'plain' && shown !== ''
    this.#put(`${isStyled ? styleText(style, shown, { validateStream: false }) : shown}\n`)
  }

  #put(text: string): void {
    if (text === '') return
    this.#write(text)
    this.#atLineStart = text.endsWith('\n')
  }
}

/** What came from a model or a file must not steer the terminal. */
const printable = (text: string): string => text.replace(/[^\P{Cc}\n\t]/gu, '')

function brief(parameters: ToolCall['parameters']): string {
  const pairs = Object.entries(parameters).map(([name, value]) => `${name}: ${JSON.stringify(value)}`)
  const text = pairs.join(', ')
  return text.length > 90 ? `${text.slice(0, 89)}…` : text
}

function size({ output, durationMs, truncated }: ToolResult): string {
  const lines = counted(output.split('\n').length, 'line')
  return `${lines}, ${number(output.length)} characters${truncated ? ', cut' : ''}, ${Math.round(durationMs)} ms`
}

const textOf = (answer: JsonValue): string =>
  typeof answer === 'string' ? answer : JSON.stringify(answer, null, 2)

const counted = (count: number, name: string): string => `${number(count)} ${name}${count === 1 ? '' : 's'}`

const number = (value: number): string => value.toLocaleString('en-US')

const seconds = (ms: number): string => `${(ms / 1000).toFixed(1)} s`
