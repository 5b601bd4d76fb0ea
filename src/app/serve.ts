// Serve: the gateway as a process. It listens, reloads bursar.json when the file changes, and stops in order on a signal.

import { readFileSync, unwatchFile, watchFile } from 'node:fs'
import { createServer, type Server } from 'node:http'
import { getRequestListener } from '@hono/node-server'
import type { Logger } from 'pino'
import { ConfigError } from '../config/config-error.ts'
import { EMPTY_FILE_CONFIG, type FileConfig, readFileConfig } from '../config/file.ts'
import { type Environment, readSettings, SETTINGS, type Settings } from '../config/settings.ts'
import { callListener } from '../http/calls.ts'
import { StoreUnavailable, StoreUnusable } from '../stores/store.ts'
import type { Notice, NoticeCode, Telemetry } from '../telemetry/call-events.ts'
import type { App } from './app.ts'
import { openApp } from './system.ts'

const CONFIG_POLL_INTERVAL_MS = 1_000
/** A request that is still arriving after this is given up. */
const REQUEST_TIMEOUT_MS = 120_000
const KEEP_ALIVE_TIMEOUT_MS = 65_000

/** Runs until a signal stops it. A mistake in the configuration, or a ledger that cannot be opened, ends the process with a message. */
export async function serve(env: Environment): Promise<void> {
  try {
    await start(env)
  } catch (error) {
    if (error instanceof ConfigError || error instanceof StoreUnusable) exitWithError(error.message)
    if (error instanceof StoreUnavailable) exitWithError(`The ledger in DATABASE_URL cannot be used: ${error.message}`)
    throw error
  }
}

async function start(env: Environment): Promise<void> {
  const settings = readSettings(env)
  const file = readConfigFile(settings.CONFIG_FILE, env)
  const { app, log, flush } = await openApp(settings, file)
  warnOfSettings(settings, file, app.telemetry)
  const server = listen(app, settings, log)
  watchConfigFile(app, settings.CONFIG_FILE, env)
  stopOnSignals(app, server, settings, log, flush)
}

/** The file's configuration, or an empty one if there is no file. Throws ConfigError. */
function readConfigFile(path: string, env: Environment): FileConfig {
  let json: string
  try {
    json = readFileSync(path, 'utf8')
  } catch (error) {
    if (error instanceof Error && 'code' in error && error.code === 'ENOENT') return EMPTY_FILE_CONFIG
    throw new ConfigError([
      `CONFIG_FILE: ${path} cannot be read (${messageOf(error)}). Expected a JSON file, or no file.`,
    ])
  }
  try {
    return readFileConfig(json, env)
  } catch (error) {
    if (error instanceof ConfigError) throw new ConfigError(error.mistakes.map((mistake) => `${path}: ${mistake}`))
    throw error
  }
}

function warnOfSettings(settings: Settings, file: FileConfig, telemetry: Telemetry): void {
  const warn = (code: NoticeCode, message: string, details: Notice['details'] = {}) =>
    telemetry.notify({ code, level: 'warn', message, details })
  const { CONFIG_FILE, ENABLE_COST_TRACKING, AUTH, BURSAR_KEYS } = settings
  if (file === EMPTY_FILE_CONFIG && CONFIG_FILE !== SETTINGS.CONFIG_FILE.defaultText) {
    const message = 'CONFIG_FILE names a file that does not exist. The gateway reads the file once it exists.'
    warn('setting_ignored', message, { setting: 'CONFIG_FILE', file: CONFIG_FILE })
  }
  if (!ENABLE_COST_TRACKING)
    warn('cost_not_limited', 'ENABLE_COST_TRACKING=false: calls are neither priced nor limited by cost.')
  if (AUTH === 'off' && BURSAR_KEYS.length === 0)
    warn('open_to_everyone', 'AUTH=off and no BURSAR_KEYS: everyone who reaches this port can spend.')
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

/** Reloads the file when it changes, appears or goes. What is wrong with it is logged, and what is in force stays. */
function watchConfigFile(app: App, path: string, env: Environment): void {
  const reload = async () => {
    try {
      await app.reload(readConfigFile(path, env))
      const message = 'The configuration was reloaded.'
      app.telemetry.notify({ code: 'configuration_reloaded', level: 'info', message, details: { file: path } })
    } catch (error) {
      const message = 'The configuration was not reloaded. What was in force stays in force.'
      const details = { file: path, reason: messageOf(error) }
      app.telemetry.notify({ code: 'configuration_not_reloaded', level: 'error', message, details })
    }
  }
  watchFile(path, { interval: CONFIG_POLL_INTERVAL_MS }, (current, previous) => {
    if (current.mtimeMs !== previous.mtimeMs || current.size !== previous.size) void reload()
  })
}

/** On SIGTERM or SIGINT: takes no new calls, waits for those in flight, closes everything, and exits with 0. */
function stopOnSignals(app: App, server: Server, settings: Settings, log: Logger, flush: () => void): void {
  let isStopping = false
  const stop = async (signal: string) => {
    if (isStopping) return
    isStopping = true
    log.info({ signal, in_flight: app.gate.inFlight }, 'stopping')
    unwatchFile(settings.CONFIG_FILE)
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
