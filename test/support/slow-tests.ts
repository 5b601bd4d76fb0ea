// Slow tests: the files whose tests open sockets, start processes or workers, or measure memory. `npm run test:fast` leaves them out.

/** Patterns of files. All other tests run where these things throw (fast.ts), so that a file which needs them fails until it stands here. */
export const SLOW_TESTS: readonly string[] = [
  'test/{alerts,app,call,clients,fuzz,http,runs,telemetry}/**/*.test.ts',
  'test/command-line/alerts.test.ts',
  'test/dashboard/pages.test.ts',
  'test/counting/tokenizer.test.ts',
  'test/limits/limit-changes.test.ts',
  'test/providers/{compatible,transport}/*.test.ts',
  'test/stores/{kill,simulation}.test.ts',
  'test/stores/sqlite/*.test.ts',
  'test/translate/matrix/*.test.ts',
  'test/{translate/gemini,wire/taps}/memory.test.ts',
]
