// Loaded with `node --import` before a probe: notes which environment variables are read and which modules are asked for.
import { registerHooks } from 'node:module'

const watched: { variables: string[]; specifiers: string[] } = { variables: [], specifiers: [] }
Reflect.set(globalThis, 'watched', watched)

const note = (name: string | symbol): void => {
  // Node reads variables of its own while it loads a module: what counts is who asks, the frame above the trap.
  const asker = new Error().stack?.split('\n')[3] ?? ''
  if (typeof name === 'string' && !asker.includes('node:')) watched.variables.push(name)
}
process.env = new Proxy(process.env, {
  get: (target, name) => {
    note(name)
    return Reflect.get(target, name)
  },
  has: (target, name) => {
    note(name)
    return Reflect.has(target, name)
  },
  ownKeys: (target) => {
    note('every variable')
    return Reflect.ownKeys(target)
  },
})

registerHooks({
  resolve: (specifier, context, next) => {
    watched.specifiers.push(specifier)
    return next(specifier, context)
  },
})
