import { createServer, type Socket } from 'node:net'
import type { TestProject } from 'vitest/node'
import { type PostgresServer, startPostgres } from './postgres.ts'

declare module 'vitest' {
  interface ProvidedContext {
    /** Whoever connects to this port is told the URL of the one Postgres server of the whole run of tests. */
    postgresPort: number
  }
}

/** The server is started when the first test file asks for it, and is shared by all. */
export default async function setup(project: TestProject): Promise<() => Promise<void>> {
  let started: Promise<PostgresServer> | undefined
  const door = createServer((socket: Socket) => {
    socket.on('error', () => {})
    started ??= startPostgres()
    started.then(
      ({ url }) => socket.end(JSON.stringify({ url })),
      (error: unknown) => socket.end(JSON.stringify({ error: String(error) })),
    )
  })
  await new Promise<void>((resolve) => door.listen(0, '127.0.0.1', resolve))
  project.provide('postgresPort', (door.address() as { port: number }).port) // it listens on a port
  return async () => {
    door.close()
    await (await started?.catch(() => undefined))?.stop()
  }
}
