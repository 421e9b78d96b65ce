// Loaded with `node --import` before a program under test: whoever leaves this machine is told so and fails.
import dgram from 'node:dgram'
import dns from 'node:dns'
import { syncBuiltinESMExports } from 'node:module'
import net from 'node:net'

const connect = net.Socket.prototype.connect
// The overloads of `connect` are many and all are forwarded as they came.
net.Socket.prototype.connect = function (this: net.Socket, ...args: unknown[]) {
  allow(targetOf(args))
  return Reflect.apply(connect, this, args)
} as typeof connect

for (const api of [dns, dns.promises, dns.Resolver.prototype, dns.promises.Resolver.prototype]) {
  for (const name of Object.getOwnPropertyNames(api)) {
    if (!/^(lookup|resolve|reverse)/.test(name)) continue
    const original: unknown = Reflect.get(api, name)
    if (typeof original !== 'function') continue
    const checked = function (this: unknown, host: unknown, ...rest: unknown[]): unknown {
      allow(String(host))
      return Reflect.apply(original, this, [host, ...rest])
    }
    Reflect.set(api, name, checked)
  }
}
dgram.createSocket = () => refuse('a UDP socket')
syncBuiltinESMExports()

function targetOf(args: readonly unknown[]): string {
  // `net.connect` hands its own arguments on as one normalized list.
  const [first, second] = Array.isArray(args[0]) ? args[0] : args
  if (typeof first === 'object' && first !== null) {
    const { host, path } = first as { host?: string; path?: string } // Node's connect options
    return path === undefined ? (host ?? 'localhost') : 'localhost'
  }
  if (typeof first === 'string' && !/^\d+$/.test(first)) return 'localhost'
  return typeof second === 'string' ? second : 'localhost'
}

function allow(host: string): void {
  const bare = host.replace(/^\[|\]$/g, '')
  const loopback = bare === 'localhost' || bare === '::1' || /^127\.\d+\.\d+\.\d+$/.test(bare)
  if (!loopback) refuse(host)
}

function refuse(target: string): never {
  // Said aloud as well: the program may catch the error, and is still at fault.
  process.stderr.write(`network access refused: ${target}\n`)
  throw new Error(`network access refused: ${target}`)
}
