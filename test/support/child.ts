import { spawn } from 'node:child_process'
import { fileURLToPath } from 'node:url'

/** How a child process ended. `code` is null when it was killed, which is also how a timeout shows. */
export interface Ended {
  code: number | null
  stdout: string
  stderr: string
}

export interface RunOptions {
  cwd: string
  /** Set beside `PATH` and `HOME`: nothing else of our own environment reaches the child. */
  env?: Record<string, string>
  /** The child is killed after this many milliseconds. Default: 30 000. */
  timeoutMs?: number
}

/** Runs a command with no input and a bare environment, and collects what it prints. */
export function run(command: string, args: readonly string[], options: RunOptions): Promise<Ended> {
  return new Promise((resolve, reject) => {
    const { PATH = '', HOME = '' } = process.env
    const child = spawn(command, args, {
      cwd: options.cwd,
      env: { PATH, HOME, ...options.env },
      stdio: ['ignore', 'pipe', 'pipe'],
      timeout: options.timeoutMs ?? 30_000,
      killSignal: 'SIGKILL',
    })
    let stdout = ''
    let stderr = ''
    child.stdout.setEncoding('utf8').on('data', (text: string) => {
      stdout += text
    })
    child.stderr.setEncoding('utf8').on('data', (text: string) => {
      stderr += text
    })
    child.on('error', reject)
    child.on('close', (code) => resolve({ code, stdout, stderr }))
  })
}

/** Runs a program with the Node that runs the tests, unable to reach any machine but this one. */
export function runNode(args: readonly string[], options: RunOptions): Promise<Ended> {
  const loopbackOnly = fileURLToPath(new URL('./loopback-only.preload.ts', import.meta.url))
  return run(process.execPath, ['--import', loopbackOnly, ...args], options)
}
