// Another gateway to compare with: the newest one from the npm registry, started on loopback as its makers start it.
import { execFile } from 'node:child_process'
import { mkdirSync, readFileSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { promisify } from 'node:util'
import { folder, type Subject, start } from './measure.ts'

const PACKAGE = '@portkey-ai/gateway'
const INSTALL_WITHIN_MS = 180_000
/** With later ones, that its own range lets in, version 1.15.2 answers every stream with a 500. */
const OVERRIDES = { '@hono/node-server': '1.14.0' }

/** Installs into the bench's own temporary folder, its cache too: nothing stays behind, and no script of a package runs. */
async function install(): Promise<string> {
  const prefix = join(folder, 'peer')
  mkdirSync(prefix)
  const wanted = { private: true, dependencies: { [PACKAGE]: 'latest' }, overrides: OVERRIDES }
  writeFileSync(join(prefix, 'package.json'), JSON.stringify(wanted))
  const flags = ['--ignore-scripts', '--no-audit', '--no-fund', '--no-update-notifier', '--cache', join(folder, 'npm')]
  try {
    await promisify(execFile)('npm', ['install', ...flags], { cwd: prefix, timeout: INSTALL_WITHIN_MS })
  } catch (error) {
    const why = error instanceof Error ? error.message.split('\n').slice(1, 4).join('\n') : ''
    throw new Error(`--peers needs the npm registry: ${PACKAGE} could not be installed.\n${why}`)
  }
  return join(prefix, 'node_modules', PACKAGE)
}

/** Portkey's gateway, which enforces nothing and keeps no ledger; without its console page, and in front of our upstream. */
export async function startPortkey(upstream: Subject): Promise<Subject> {
  const path = await install()
  const { version }: { version: string } = JSON.parse(readFileSync(join(path, 'package.json'), 'utf8'))
  console.log(`${PACKAGE} ${version} on Node ${process.versions.node}, as ours`)
  const subject = await start(
    'portkey',
    join(path, 'build/start-server.js'),
    { NODE_ENV: 'production' },
    { args: (port) => ['--headless', `--port=${port}`], healthPath: '/' },
  )
  const host = `http://127.0.0.1:${upstream.port}/v1`
  return { ...subject, headers: ['x-portkey-provider: openai', `x-portkey-custom-host: ${host}`] }
}
