import { defineConfig } from 'vitest/config'

export default defineConfig({
  test: {
    include: ['test/**/*.test.ts'],
    globalSetup: 'test/support/postgres.setup.ts',
    // No test waits for time to pass; a slow machine may still need some.
    testTimeout: 60_000,
    hookTimeout: 60_000,
    // Concurrent tests start programs of their own: examples and snippets.
    maxConcurrency: 2,
    coverage: { provider: 'v8', include: ['src/**'], reporter: ['text-summary'], thresholds: { lines: 80 } },
  },
})
