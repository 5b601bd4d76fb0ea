import { defineConfig } from 'vitest/config'

/** Where the run's report is written as JSON, besides what is printed. */
const report = process.env.VITEST_JSON

export default defineConfig({
  test: {
    ...(report ? { reporters: ['default', 'json'], outputFile: { json: report } } : {}),
    include: ['test/**/*.test.ts'],
    // Tests that measure memory collect first.
    execArgv: ['--expose-gc'],
    testTimeout: 30_000,
    hookTimeout: 30_000,
    // Two cores: more workers only make the tests that measure memory and real time slower and noisier.
    maxWorkers: 2,
  },
})
