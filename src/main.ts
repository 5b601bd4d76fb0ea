// Main: the process. Reads the environment and .env, and serves. Nothing else is loaded before the runtime is known to be a Node that is
// new enough.

import { runtimeMistake } from './app/node-version.ts'

const mistake = runtimeMistake(globalThis)
if (mistake === undefined) await run()
else {
  process.stderr.write(`${mistake}\n`)
  process.exitCode = 1
}

async function run(): Promise<void> {
  const { enableCompileCache } = await import('node:module')
  // What was compiled once is read back at the next start, which halves its time. This holds for imports from here on.
  const { directory } = enableCompileCache()
  // Threads use the cache too: to strip types themselves, each would take 30 MB.
  if (directory !== undefined) process.env.NODE_COMPILE_CACHE ??= directory
  const { serve } = await import('./app/serve.ts')
  const { config } = await import('dotenv')
  config({ quiet: true })
  await serve(process.env)
}
