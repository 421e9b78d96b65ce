import type { AgentEvent } from '../../src/events.ts'

/** All events of a run, in order. */
export async function eventsOf(run: AsyncIterable<AgentEvent>): Promise<AgentEvent[]> {
  const events: AgentEvent[] = []
  for await (const event of run) events.push(event)
  return events
}

/** The types of events, each streak of the same type once: tokens make no noise. */
export function typesOf(events: readonly AgentEvent[]): string[] {
  const types = events.map((event) => (event.type === 'tool_execution' ? `tool ${event.status}` : event.type))
  return types.filter((type, index) => type !== types[index - 1])
}
