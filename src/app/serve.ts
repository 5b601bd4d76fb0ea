// Serve: the gateway as a process. Listens, reloads bursar.json, and stops in order.

import { readFileSync, unwatchFile, watchFile } from 'node:fs'
import { createServer } from 'node:http'
import { getRequestListener } from '@hono/node-server'
import { ConfigError } from '../config/config-error.ts'
import { type FileConfig, readFileConfig } from '../config/file.ts'
import type { Environment } from '../config/providers.ts'
import { NO_ROUTES } from '../config/routes.ts'
import { readSettings } from '../config/settings.ts'
import { callListener } from '../http/calls.ts'
import { NO_PROVIDER_ROWS } from '../providers/index.ts'
import { StoreUnusable } from '../stores/store.ts'
import { openApp } from './system.ts'

/** Whoever has none needs none. */
const DEFAULT_CONFIG_FILE = 'bursar.json'
const CONFIG_POLL_MS = 1_000
/** A request that is still arriving after this is given up. */
const REQUEST_TIMEOUT_MS = 120_000
const KEEP_ALIVE_MS = 65_000
const EMPTY_FILE_CONFIG: FileConfig = {
  limits: [],
  prices: [],
  providers: NO_PROVIDER_ROWS,
  routes: NO_ROUTES,
  patterns: {},
}

/** The file's configuration, or an empty one where there is no file. Throws ConfigError. */
function readConfigFile(path: string, env: Environment): FileConfig {
  let json: string
  try {
    json = readFileSync(path, 'utf8')
  } catch (error) {
    if (error instanceof Error && 'code' in error && error.code === 'ENOENT') return EMPTY_FILE_CONFIG
    throw new ConfigError([`CONFIG_FILE: ${path} cannot be read`])
  }
  try {
    return readFileConfig(json, env)
  } catch (error) {
    if (error instanceof ConfigError) throw new ConfigError(error.mistakes.map((mistake) => `${path}: ${mistake}`))
    throw error
  }
}

/** Runs until a signal stops it. What is wrong with the configuration or the ledger ends the process with a message. */
export async function serve(env: Readonly<Record<string, string | undefined>>): Promise<void> {
  try {
    await start(env)
  } catch (error) {
    if (error instanceof ConfigError || error instanceof StoreUnusable) exitWithError(error.message)
    throw error
  }
}

async function start(env: Readonly<Record<string, string | undefined>>): Promise<void> {
  const settings = readSettings(env)
  const file = readConfigFile(settings.CONFIG_FILE, env)
  const { app: bursar, log, flush } = await openApp(settings, file)
  if (file === EMPTY_FILE_CONFIG && settings.CONFIG_FILE !== DEFAULT_CONFIG_FILE)
    log.warn({ file: settings.CONFIG_FILE }, 'CONFIG_FILE names a file that is not there: it is read once it is')
  if (!settings.ENABLE_COST_TRACKING)
    log.warn('ENABLE_COST_TRACKING=false: calls are neither priced nor limited by cost')
  if (settings.AUTH === 'off' && settings.BURSAR_KEYS.length === 0)
    log.warn('AUTH=off: whoever reaches this port can spend')

  const server = createServer(
    { requestTimeout: REQUEST_TIMEOUT_MS, keepAliveTimeout: KEEP_ALIVE_MS },
    callListener(bursar.gate, getRequestListener(bursar.app.fetch)),
  )
  server.on('error', (error) => exitWithError(`cannot listen on ${settings.HOST}:${settings.PORT}: ${error.message}`))
  server.listen(settings.PORT, settings.HOST, () => {
    const address = server.address()
    const port = typeof address === 'object' && address ? address.port : settings.PORT
    const ready = bursar.providers.filter((provider) => provider.configured && !provider.simulated)
    log.info({ host: settings.HOST, port, providers: ready.map((provider) => provider.name) }, 'listening')
  })

  watchFile(settings.CONFIG_FILE, { interval: CONFIG_POLL_MS }, (current, previous) => {
    if (current.mtimeMs === previous.mtimeMs && current.size === previous.size) return
    Promise.resolve()
      .then(() => bursar.reload(readConfigFile(settings.CONFIG_FILE, env)))
      .then(() => log.info({ file: settings.CONFIG_FILE }, 'configuration reloaded'))
      .catch((error: unknown) =>
        log.error({ reason: messageOf(error) }, 'configuration not reloaded; the old one stays'),
      )
  })

  let stopping = false
  const stop = async (signal: string) => {
    if (stopping) return
    stopping = true
    log.info({ signal, inFlight: bursar.gate.inFlight }, 'stopping')
    unwatchFile(settings.CONFIG_FILE)
    bursar.gate.close()
    server.close()
    await bursar.close(settings.DRAIN_TIMEOUT_MS)
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
