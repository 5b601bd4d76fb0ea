// Serve: the gateway as a process. It listens, reloads bursar.json when the file changes, and stops in order on a signal.

import { createServer, type Server } from 'node:http'
import { getRequestListener } from '@hono/node-server'
import type { Logger } from 'pino'
import { ConfigError } from '../config/config-error.ts'
import { wholeFile } from '../config/file.ts'
import type { Environment, Settings } from '../config/settings.ts'
import { callListener } from '../http/calls.ts'
import { StoreUnavailable, StoreUnusable } from '../stores/store.ts'
import type { App } from './app.ts'
import { readChangedFile, readConfigFile, watchConfigFile } from './config-file.ts'
import { type EarlyFindings, loadConfiguration } from './load-configuration.ts'
import { settingWarnings } from './setting-warnings.ts'
import { openApp, systemClock } from './system.ts'

/** A request that is still arriving after this is given up. */
const REQUEST_TIMEOUT_MS = 120_000
const KEEP_ALIVE_TIMEOUT_MS = 65_000

/** Runs until a signal stops it. A mistake in the configuration, or a ledger that cannot be opened, ends the process with a message. */
export async function serve(env: Environment, early: EarlyFindings): Promise<void> {
  try {
    await start(env, early)
  } catch (error) {
    if (error instanceof ConfigError || error instanceof StoreUnusable) exitWithError(error.message)
    if (error instanceof StoreUnavailable) exitWithError(`The ledger in DATABASE_URL cannot be used: ${error.message}`)
    throw error
  }
}

async function start(env: Environment, early: EarlyFindings): Promise<void> {
  const read = (path: string) => readConfigFile(path, env)
  const configuration = loadConfiguration(env, read, systemClock.now().wallMs, early)
  const { settings } = configuration
  const { app, log, flush } = await openApp(configuration)
  for (const notice of settingWarnings(configuration, app.needKeys)) app.telemetry.notify(notice)
  const server = listen(app, settings, log)
  const stopWatching = watchConfigFile(settings.CONFIG_FILE, () => void reload(app, settings.CONFIG_FILE, env))
  stopOnSignals(app, server, settings, log, { stopWatching, flush })
}

/** Serves on the address of the settings. If that fails, the process ends with a message. */
function listen({ app, gate, providers }: App, { HOST, PORT }: Settings, log: Logger): Server {
  const server = createServer(
    { requestTimeout: REQUEST_TIMEOUT_MS, keepAliveTimeout: KEEP_ALIVE_TIMEOUT_MS },
    callListener(gate, getRequestListener(app.fetch)),
  )
  server.on('error', (error) => exitWithError(`Cannot listen on ${HOST}:${PORT}: ${error.message}`))
  server.listen(PORT, HOST, () => {
    const address = server.address()
    const port = typeof address === 'object' && address ? address.port : PORT
    const ready = providers.filter((provider) => provider.configured && !provider.simulated)
    log.info({ host: HOST, port, providers: ready.map((provider) => provider.name) }, 'listening')
  })
  return server
}

/** Puts the file in force as it is now. What is wrong with it is logged, and what is in force stays. */
export async function reload(app: Pick<App, 'reload' | 'telemetry'>, path: string, env: Environment): Promise<void> {
  try {
    await app.reload(wholeFile(readChangedFile(path, env)))
    const message = 'The configuration was reloaded.'
    app.telemetry.notify({ code: 'configuration_reloaded', level: 'info', message, details: { file: path } })
  } catch (error) {
    const message = 'The configuration was not reloaded. What was in force stays in force.'
    const details = { file: path, reason: messageOf(error) }
    app.telemetry.notify({ code: 'configuration_not_reloaded', level: 'error', message, details })
  }
}

interface Finish {
  readonly stopWatching: () => void
  /** Writes what is left of the log. */
  readonly flush: () => void
}

/** On SIGTERM or SIGINT: takes no new calls, waits for those in flight, closes everything, and exits with 0. */
function stopOnSignals(
  app: App,
  server: Server,
  settings: Settings,
  log: Logger,
  { stopWatching, flush }: Finish,
): void {
  let isStopping = false
  const stop = async (signal: string) => {
    if (isStopping) return
    isStopping = true
    log.info({ signal, in_flight: app.gate.inFlight }, 'stopping')
    stopWatching()
    app.gate.close()
    server.close()
    await app.close(settings.DRAIN_TIMEOUT_MS)
    server.closeAllConnections()
    log.info('stopped')
    flush()
    process.exit(0)
  }
  process.on('SIGTERM', () => void stop('SIGTERM'))
  process.on('SIGINT', () => void stop('SIGINT'))
  process.on('exit', flush)
}

function messageOf(error: unknown): string {
  return error instanceof Error ? error.message : String(error)
}

function exitWithError(message: string): never {
  process.stderr.write(`${message}\n`)
  process.exit(1)
}
