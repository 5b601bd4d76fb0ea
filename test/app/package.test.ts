// The public package, as a program that installs it meets it: its types, its run, and what it says if Node is too old, or if the runtime
// is not Node.

import { execFile } from 'node:child_process'
import {
  copyFileSync,
  cpSync,
  mkdirSync,
  mkdtempSync,
  readdirSync,
  readFileSync,
  rmSync,
  symlinkSync,
  writeFileSync,
} from 'node:fs'
import { tmpdir } from 'node:os'
import { dirname, join, relative } from 'node:path'
import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import { MIN_NODE_VERSION, nodeVersionMistake, runtimeMistake } from '../../src/app/node-version.ts'

const ROOT = join(import.meta.dirname, '../..')
const TSC = join(ROOT, 'node_modules/typescript/bin/tsc')

interface Result {
  readonly code: number
  readonly stdout: string
  readonly stderr: string
}

function runNode(args: readonly string[], cwd: string): Promise<Result> {
  return new Promise((resolve) => {
    execFile(process.execPath, args, { cwd, env: { PATH: process.env.PATH } }, (error, stdout, stderr) => {
      resolve({ code: typeof error?.code === 'number' ? error.code : error ? 1 : 0, stdout, stderr })
    })
  })
}

let app: string
let dist: string

/** A program's folder with the package in it, built as `npm pack` builds it, and the packages that it needs. */
beforeAll(async () => {
  app = mkdtempSync(join(tmpdir(), 'bursar-package-'))
  const modules = join(app, 'node_modules')
  dist = join(modules, 'bursar/dist')
  mkdirSync(join(modules, 'bursar'), { recursive: true })
  for (const name of readdirSync(join(ROOT, 'node_modules')).filter((entry) => !entry.startsWith('.')))
    symlinkSync(join(ROOT, 'node_modules', name), join(modules, name))
  copyFileSync(join(ROOT, 'package.json'), join(modules, 'bursar/package.json'))
  cpSync(join(ROOT, 'bin'), join(modules, 'bursar/bin'), { recursive: true })
  writeFileSync(join(app, 'package.json'), '{ "type": "module" }')
  const built = await runNode([join(ROOT, 'scripts/build.ts'), '--outDir', dist], ROOT)
  expect(built).toEqual({ code: 0, stdout: '', stderr: '' })
}, 120_000)
afterAll(() => rmSync(app, { recursive: true, force: true }))

/** Uses everything that the package exports. What must not compile says so: then no type is `any`. */
const CONSUMER = `
import { Hono } from 'hono'
import { type Bursar, type BursarOptions, ConfigError, createBursar } from 'bursar'
import { type GateOptions, type GateVariables, type HandlerUsage, StoreUnusable, type UserPrice } from 'bursar'

const options: BursarOptions = { env: { ...process.env, DATABASE_URL: 'memory:', LOG_LEVEL: 'silent' }, config: {} }
// @ts-expect-error settings are text
export const wrongOptions: BursarOptions = { env: { PORT: 5555 } }

const bursar: Bursar = await createBursar(options)
const price: UserPrice = { input: '1.00', output: 2, contextWindow: 8_000 }
bursar.addPrice('openai', 'my-model', price)
// @ts-expect-error prices have no such class
export const wrongPrice: UserPrice = { inputs: 1 }

const gateOptions: GateOptions = { dialect: 'openai.chat', unmetered: ['/v1/images/*'] }
// @ts-expect-error there is no such dialect
export const wrongGate: GateOptions = { dialect: 'openai.chats' }

// @ts-expect-error tokens are numbers
export const wrongUsage: Parameters<GateVariables['bursar']['settle']>[0] = { inputTokens: '3', outputTokens: 4 }

const app = new Hono<{ Variables: GateVariables }>()
app.use('/v1/*', bursar.gate(gateOptions))
app.post('/v1/chat/completions', async (c) => {
  const usage: HandlerUsage = { inputTokens: 3, outputTokens: 4 }
  c.var.bursar.settle(usage)
  return c.json({ choices: [] })
})
app.route('/', bursar.app)

const body = JSON.stringify({ model: 'my-model', max_tokens: 9, messages: [{ role: 'user', content: 'hello' }] })
const init = { method: 'POST', body, headers: { 'content-type': 'application/json' } }
const response: Response = await app.request('/v1/chat/completions', init)
await response.text()
const health: Response = await app.request('/healthz')
const mistakes: readonly string[] = await bursar.reload({ limits: 1 }).then(
  () => [],
  (error: unknown) => (error instanceof ConfigError ? error.mistakes : [String(error)]),
)
await bursar.reload({ limits: { perKey: { costPerDay: '1.00' } } })
await bursar.close(1_000)
const unusable = await createBursar({ env: { DATABASE_URL: 'sqlite:/' } }).catch((error) => error instanceof StoreUnusable)
console.log(JSON.stringify({ status: response.status, health: health.status, mistakes, unusable }))
`

describe('a program that uses the package', () => {
  it('is compiled against its types, and runs', async () => {
    const compilerOptions = {
      target: 'es2024',
      lib: ['es2024', 'esnext.disposable', 'dom', 'dom.iterable'],
      module: 'nodenext',
      types: ['node'],
      strict: true,
      exactOptionalPropertyTypes: true,
      noUncheckedIndexedAccess: true,
      verbatimModuleSyntax: true,
      skipLibCheck: false,
      outDir: 'out',
    }
    writeFileSync(join(app, 'consumer.ts'), CONSUMER)
    writeFileSync(join(app, 'tsconfig.json'), JSON.stringify({ compilerOptions, files: ['consumer.ts'] }))
    expect(await runNode([TSC, '-p', '.'], app)).toEqual({ code: 0, stdout: '', stderr: '' })
    const { code, stdout, stderr } = await runNode(['out/consumer.js'], app)
    expect({ code, stderr }).toEqual({ code: 0, stderr: '' })
    expect(JSON.parse(stdout)).toEqual({
      status: 200,
      health: 200,
      mistakes: ['limits: must be an object'],
      unusable: true,
    })
  }, 120_000)
})

describe('the command of the package', () => {
  it('runs what was compiled', async () => {
    const { code, stdout, stderr } = await runNode([join(dist, '../bin/bursar.js'), 'keys', 'list', '--help'], app)
    expect({ code, stderr }).toEqual({ code: 0, stderr: '' })
    expect(stdout).toContain('Usage: bursar keys list')
  })
})

describe('Node', () => {
  it('is new enough for the package from the version on that package.json names', () => {
    const { engines } = JSON.parse(readFileSync(join(ROOT, 'package.json'), 'utf8')) as { engines: { node: string } }
    expect(engines.node).toBe(`>=${MIN_NODE_VERSION}`)
    expect(nodeVersionMistake(process.versions.node)).toBeUndefined()
  })

  it.each(['18.0.0', '20.20.2', '22.21.0', '24.14.9', '23.99.0'])('%s is too old', (version) => {
    expect(nodeVersionMistake(version)).toMatch(
      `needs Node ${MIN_NODE_VERSION} or newer, and this is Node ${version}: `,
    )
  })

  it.each(['24.15.0', '24.20.1', '25.0.0', '26.10.0', '30.0.0-nightly20270101'])('%s is new enough', (version) => {
    expect(nodeVersionMistake(version)).toBeUndefined()
  })

  const OLD_NODE = `data:text/javascript,Object.defineProperty(process,'versions',{value:{...process.versions,node:'20.1.0'}})`

  it('that is too old is reported in one line, by the process and in a program', async () => {
    const line = `${nodeVersionMistake('20.1.0')}\n`
    expect(await runNode(['--import', OLD_NODE, join(dist, 'main.js')], app)).toEqual({
      code: 1,
      stdout: '',
      stderr: line,
    })
    writeFileSync(join(app, 'catches.js'), "import('bursar').catch((error) => console.log(error.stack))")
    expect(await runNode(['--import', OLD_NODE, 'catches.js'], app)).toEqual({ code: 0, stdout: line, stderr: '' })
    writeFileSync(join(app, 'dies.js'), "import { createBursar } from 'bursar'\nawait createBursar()")
    const { code, stderr } = await runNode(['--import', OLD_NODE, 'dies.js'], app)
    expect(code).toBe(1)
    expect(stderr).toContain(line.trim())
    expect(stderr).not.toMatch(/^\s+at /m)
  })

  it('is what the package needs: another runtime is reported in one line, too', async () => {
    const { node } = process.versions
    const line = runtimeMistake({ process: { versions: { node, bun: '1.4.5' } } })
    expect(line).toMatch(/this is Bun 1\.4\.5/)
    const bun = `data:text/javascript,Object.defineProperty(process,'versions',{value:{...process.versions,bun:'1.4.5'}})`
    const reported = { code: 1, stdout: '', stderr: `${line}\n` }
    expect(await runNode(['--import', bun, join(dist, 'main.js')], app)).toEqual(reported)
    writeFileSync(join(app, 'runtime.js'), "import('bursar').catch((error) => console.log(error.stack))")
    expect(await runNode(['--import', bun, 'runtime.js'], app)).toEqual({ code: 0, stdout: `${line}\n`, stderr: '' })
    const workers = `data:text/javascript,delete globalThis.process`
    const { stdout } = await runNode(['--import', workers, 'runtime.js'], app)
    expect(stdout).toMatch(/^Bursar needs Node .* and this is another runtime \(Node\.js\/\d+\)/)
  })

  it.each([
    ['main.js', ['app/node-version.js']],
    ['index.js', ['app/node-version.js', 'config/config-error.js', 'stores/store.js']],
  ])('is looked at before %s loads anything but %j', (entry, files) => {
    expect(staticImports(join(dist, entry)).toSorted()).toEqual(files)
  })
})

describe('a runtime', () => {
  const node = '24.20.0'

  it.each<[string, Parameters<typeof runtimeMistake>[0], string]>([
    ['Bun', { Bun: {}, process: { versions: { node, bun: '1.4.5' } } }, 'Bun 1.4.5'],
    ['Deno', { Deno: {}, process: { versions: { node, deno: '2.9.6' } } }, 'Deno 2.9.6'],
    ['Deno without process', { Deno: {} }, 'Deno'],
    [
      'Workers with interfaces of Node',
      { navigator: { userAgent: 'Cloudflare-Workers' }, process: { versions: { node } } },
      'Cloudflare Workers',
    ],
    ['Workers', { navigator: { userAgent: 'Cloudflare-Workers' } }, 'Cloudflare Workers'],
    ['an edge function', { EdgeRuntime: 'edge-runtime', process: { versions: {} } }, 'an edge runtime'],
    ['a browser', { navigator: { userAgent: 'Mozilla/5.0' } }, 'another runtime (Mozilla/5.0)'],
    ['nothing that is known', {}, 'another runtime'],
  ])('that is %s is named', (_, globals, name) => {
    expect(runtimeMistake(globals)).toContain(`needs Node ${MIN_NODE_VERSION} or newer, and this is ${name}: `)
  })

  it.each([{}, { navigator: { userAgent: 'Node.js/24' } }])('that is Node is accepted, with %j', (globals) => {
    expect(runtimeMistake({ ...globals, process: { versions: { node } } })).toBeUndefined()
    expect(runtimeMistake({ ...globals, process: { versions: { node: '20.20.2' } } })).toMatch(/this is Node 20\.20\.2/)
  })
})

const STATIC_IMPORT = /^(?:import|export)\s(?:[^'";]*?\sfrom\s*)?['"]([^'"]+)['"]/gm

/** All that is loaded together with a file: paths from `dist`, packages by name. */
function staticImports(file: string, seen = new Set<string>()): string[] {
  for (const [, target = ''] of readFileSync(file, 'utf8').matchAll(STATIC_IMPORT)) {
    const path = target.startsWith('.') ? join(dirname(file), target) : target
    if (seen.has(path)) continue
    seen.add(path)
    if (target.startsWith('.')) staticImports(path, seen)
  }
  return [...seen].map((path) => (path.startsWith(dist) ? relative(dist, path) : path))
}
