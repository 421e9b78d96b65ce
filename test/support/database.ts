import { connect } from 'node:net'
import { text } from 'node:stream/consumers'
import pg from 'pg'
import { inject } from 'vitest'

/** A new database of the server that all tests share, by the URL of its superuser. */
export async function newDatabase(): Promise<string> {
  const url = await serverUrl()
  const name = `test_${process.pid}_${++databases}`
  await queryOnce(url, `CREATE DATABASE ${name}`)
  return `${url}/${name}`
}

let databases = 0

/** The rows of one statement, asked on a connection of its own. */
export async function queryOnce(
  url: string,
  statement: string,
  values: readonly unknown[] = [],
): Promise<Record<string, unknown>[]> {
  const client = new pg.Client({ connectionString: url })
  await client.connect()
  try {
    return (await client.query(statement, [...values])).rows
  } finally {
    await client.end()
  }
}

async function serverUrl(): Promise<string> {
  const answer = await text(connect(inject('postgresPort'), '127.0.0.1'))
  const { url, error } = JSON.parse(answer) as { url?: string; error?: string } // said by postgres.setup.ts
  if (url === undefined) throw new Error(`There is no Postgres: ${error}`)
  return url
}
