// Main: the process. It reads the command line, then serves, checks, or runs a command. It reads the environment and .env. Nothing else is loaded before the runtime is known to be a Node
// that is new enough.

import { runtimeMistake } from './app/node-version.ts'
import type { CommandRequest } from './command-line/index.ts'

/** The arguments make no sense. A mistake in the configuration is 1. */
const USAGE_EXIT_CODE = 2

const mistake = runtimeMistake(globalThis)
if (mistake === undefined) await run()
else {
  process.stderr.write(`${mistake}\n`)
  process.exitCode = 1
}

async function run(): Promise<void> {
  const { readRequest } = await import('./command-line/index.ts')
  const request = readRequest(process.argv.slice(2))
  switch (request.kind) {
    case 'serve':
    case 'check':
      return start(request.kind === 'check')
    case 'print':
      process.stdout.write(request.text)
      return
    case 'mistake':
      process.stderr.write(`${request.message}\n`)
      process.exitCode = USAGE_EXIT_CODE
      return
    case 'command':
      return runCommand(request)
  }
}

/** A command talks to the gateway that runs, and loads nothing of it. */
async function runCommand({ command, args }: CommandRequest): Promise<void> {
  const [{ runCommand: runNow }, { systemFiles }, { systemTerminal }] = await Promise.all([
    import('./command-line/index.ts'),
    import('./command-line/system-files.ts'),
    import('./command-line/system-terminal.ts'),
  ])
  const { BURSAR_URL: url, BURSAR_ADMIN_KEY: adminKey, BURSAR_CALLER_KEY: callerKey } = process.env
  const access = { url, adminKey, callerKey, fetch: globalThis.fetch }
  const surroundings = { ...access, files: systemFiles, terminal: systemTerminal, nowMs: Date.now() }
  const { stdout, stderr, exitCode } = await runNow(command, args, surroundings)
  systemTerminal.progress('')
  process.stdout.write(stdout)
  process.stderr.write(stderr)
  process.exitCode = exitCode
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
