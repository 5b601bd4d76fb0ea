import { defineConfig } from 'vitest/config'
import { SLOW_TESTS } from './test/support/slow-tests.ts'

/** The JSON report is written here, beside what is printed. */
const report = process.env.VITEST_JSON

export default defineConfig({
  test: {
    ...(report ? { reporters: ['default', 'json'], outputFile: { json: report } } : {}),
    testTimeout: 30_000,
    hookTimeout: 30_000,
    // Two cores: more workers only make the tests that measure memory and real time slower and noisier.
    maxWorkers: 2,
    projects: [
      {
        test: {
          name: 'fast',
          include: ['test/**/*.test.ts'],
          exclude: [...SLOW_TESTS],
          setupFiles: ['test/support/fast.ts'],
          // These tests leave nothing behind, so a worker need not start anew for each file.
          isolate: false,
        },
      },
      {
        test: {
          name: 'slow',
          include: [...SLOW_TESTS],
          // Tests that measure memory collect garbage first.
          execArgv: ['--expose-gc'],
        },
      },
    ],
  },
})
