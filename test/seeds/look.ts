import { tool } from '../../src/index.ts'

/** Finds so much that a few calls fill a small window. */
export const look = tool({
  name: 'look',
  description: 'Looks',
  parameters: { type: 'object', properties: {} },
  effect: 'read',
  repeatable: true,
  execute: () => 'found '.repeat(100),
})
