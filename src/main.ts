// Main: the process. Reads the command line, the environment and .env. Nothing else is loaded before the runtime is known to be a Node
// that is new enough.

import { runtimeMistake } from './app/node-version.ts'

/** The arguments make no sense. A mistake in the configuration is 1. */
const USAGE_EXIT_CODE = 2

const mistake = runtimeMistake(globalThis)
if (mistake === undefined) await run()
else {
  process.stderr.write(`${mistake}\n`)
  process.exitCode = 1
}

async function run(): Promise<void> {
  const { HELP, readCommandLine } = await import('./app/command-line.ts')
  const read = readCommandLine(process.argv.slice(2))
  if ('mistake' in read) {
    process.stderr.write(`${read.mistake}\n`)
    process.exitCode = USAGE_EXIT_CODE
  } else if (read.command === 'help') process.stdout.write(HELP)
  else await start(read.command === 'check')
}

async function start(checksOnly: boolean): Promise<void> {
  const { enableCompileCache } = await import('node:module')
  // What was compiled once is read back at the next start, which halves its time. This holds for imports from here on.
  const { directory } = enableCompileCache()
  // Threads use the cache too: to strip types themselves, each would take 30 MB.
  if (directory !== undefined) process.env.NODE_COMPILE_CACHE ??= directory
  const { config } = await import('dotenv')
  const { readEnvFile } = await import('./app/read-env-file.ts')
  const findings = readEnvFile('.env')
  config({ quiet: true })
  if (checksOnly) {
    const [{ checkConfiguration }, { systemClock }] = await Promise.all([
      import('./app/check.ts'),
      import('./app/system.ts'),
    ])
    const { text, exitCode } = await checkConfiguration(process.env, systemClock.now().wallMs, findings)
    process.stdout.write(text)
    process.exitCode = exitCode
  } else {
    const { serve } = await import('./app/serve.ts')
    await serve(process.env, findings)
  }
}
