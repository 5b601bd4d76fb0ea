// --check: what the configuration makes, in readable text, and an exit code for scripts. It leaves nothing behind.

import { execFile } from 'node:child_process'
import { mkdtempSync, readdirSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { beforeEach, describe, expect, it, onTestFinished } from 'vitest'
import { checkConfiguration } from '../../src/app/check.ts'
import { NO_FINDINGS } from '../../src/app/load-configuration.ts'
import type { Environment } from '../../src/config/settings.ts'
import { shippedPriceList } from '../../src/prices/price-list.ts'

const MAIN = join(import.meta.dirname, '../../src/main.ts')
/** Prices are new then. */
const NOW_MS = Date.parse(shippedPriceList().date)

let folder: string
let path: string

beforeEach(() => {
  folder = mkdtempSync(join(tmpdir(), 'bursar-check-'))
  path = join(folder, 'bursar.json')
  onTestFinished(() => rmSync(folder, { recursive: true }))
})

function check(file: unknown, env: Environment = {}) {
  writeFileSync(path, JSON.stringify(file))
  return checkConfiguration({ CONFIG_FILE: path, ...env }, NOW_MS, NO_FINDINGS)
}

const KEYS = 'alice:0123456789abcdef,batch:fedcba9876543210'

describe('--check', () => {
  it('prints limits, routes, providers, keys and prices', async () => {
    const file = {
      limits: {
        perKey: { requestsPerMinute: 30 },
        'key:batch': { costPerDay: '50.00', inFlight: 4 },
        global: { costPerDay: '5', costPerTotal: '99.123456789', requestsPerMinute: 600 },
        'model:openai/gpt-6-luna': { costPerDay: { amount: '1.5', enforce: false } },
      },
      aliases: {
        steady: ['anthropic/claude-sonnet-5-5', 'openai/gpt-6-luna'],
        thrifty: { targets: ['openai/gpt-6-luna', 'sim/echo'], onBudget: 'cheaper', retries: 0 },
      },
      patterns: { embeddingModel: 'openai/text-embedding-3-small' },
      providers: {
        groq: { preset: 'groq' },
        'my-vllm': { preset: 'vllm', baseUrl: 'http://10.0.0.5:8000/v1' },
        anthropic: { callerKeys: 'forward' },
      },
      prices: [{ provider: 'openai', model: 'my-finetune', input: '3.00', output: '12.00' }],
    }
    const { text, exitCode } = await check(file, {
      BURSAR_KEYS: KEYS,
      OPENAI_API_KEY: 'sk-secret',
      OPENAI_MODEL: 'gpt-6-luna',
      ANTHROPIC_MODEL: 'claude-sonnet-5-5',
    })
    // Which prices are about to change depends on the list.
    expect(text.replace(/^ {2}The price .*\n/gm, '')).toBe(`Limits
  everyone                 60 requests a minute, refills steadily
  everyone                 90000 tokens a minute, refills steadily
  everyone                 $0.50 a call
  each key                 30 requests a minute, refills steadily
  key batch                $50.00 a day
  key batch                4 calls at a time
  everyone                 $5.00 a day
  everyone                 $99.123456789 in total
  model openai/gpt-6-luna  $1.50 a day, counts, and refuses nothing

Routes
  steady                    → anthropic/claude-sonnet-5-5, then openai/gpt-6-luna (1 retry each)
  thrifty                   → openai/gpt-6-luna, then sim/echo (0 retries each, without those that are too expensive for the money left)
  (other models)            → the provider in their name, or that has them (0 retries)
  (patterns)                → openai/gpt-6-luna
  (embeddings of patterns)  → openai/text-embedding-3-small

Providers
  openai     ready, default model gpt-6-luna
  anthropic  with callers' own keys, default model claude-sonnet-5-5
  gemini     not ready. Set GEMINI_API_KEY in .env file
  groq       not ready. Set GROQ_API_KEY in .env file
  my-vllm    ready
  simulated  answers sim/ models, and sends nothing

Keys
  calls need the key of alice or batch; ADMIN_KEY is not set

Prices
  of ${shippedPriceList().date}, and 1 row of your own

No mistakes, and no warnings.
`)
    expect(exitCode).toBe(0)
  })

  it('prints warnings, and exits with 1', async () => {
    const { text, exitCode } = await check(
      { limits: { 'key:batsch': {} } },
      { BURSAR_KEYS: KEYS, OPENAI_KEY: 'sk-secret' },
    )
    expect(text).toMatch(/^Limits\n/)
    expect(text).toContain(`
2 warnings
  OPENAI_KEY: is no setting, and is not read. Did you mean OPENAI_API_KEY?
  ${path}:1:12: limits.key:batsch: limits nothing: BURSAR_KEYS has no batsch. Did you mean batch?
`)
    expect(exitCode).toBe(1)
    expect(text).not.toMatch(/sk-secret|0123456789|No mistakes/)
  })

  it.each<[Environment, string]>([
    [{ AUTH: 'off' }, 'AUTH=off and no BURSAR_KEYS: everyone who reaches this port can spend.'],
    [{ ENABLE_COST_TRACKING: 'false' }, 'ENABLE_COST_TRACKING=false: calls are neither priced nor limited by cost.'],
    [
      { ADMIN_KEY: '0123456789abcdef' },
      'ADMIN_KEY is set and BURSAR_KEYS is not: figures need ADMIN_KEY, and calls need no key until one is made.',
    ],
    [
      { CONFIG_FILE: '/nonexistent/bursar.json' },
      'CONFIG_FILE names a file that does not exist. The gateway reads the file once it exists.',
    ],
  ])('prints what the start warns of: %j', async (env, warning) => {
    const { text, exitCode } = await check({}, env)
    expect(text.trimEnd().split('\n').slice(-2)).toEqual(['1 warning', `  ${warning}`])
    expect(exitCode).toBe(1)
  })

  it('prints that a configured model ended', async () => {
    const { text, exitCode } = await check({ aliases: { old: ['openai/gpt-3.5-turbo'] } }, { OPENAI_API_KEY: 'sk-x' })
    expect(text).toMatch(/1 warning\n {2}The model openai\/gpt-3\.5-turbo ended on 2026-10-23\. /)
    expect(exitCode).toBe(1)
  })

  it('prints mistakes alone, and exits with 1', async () => {
    const { text, exitCode } = await check({ limit: {} }, { PORT: 'x' })
    expect(text).toMatch(
      /^The configuration has 2 mistakes:\n {2}PORT: .*\n {2}.*bursar\.json:1:2: limit: must not be here\./,
    )
    expect(exitCode).toBe(1)
  })

  it('says that prices are old, which is no warning of the configuration', async () => {
    const result = await checkConfiguration({}, NOW_MS + 50 * 86_400_000, NO_FINDINGS)
    expect(result.text).toMatch(/Prices\n {2}of .*\n {2}Prices are of .*, 50 days ago/)
    expect(result.exitCode).toBe(0)
  })
})

/** Runs the program in the folder, with nothing of the tests' own environment. */
function runMain(
  args: readonly string[],
  env: Environment = {},
): Promise<{ code: number; stdout: string; stderr: string }> {
  const { promise, resolve } = Promise.withResolvers<{ code: number; stdout: string; stderr: string }>()
  const options = { cwd: folder, env: { PATH: process.env.PATH, ...env } }
  execFile(process.execPath, [MAIN, ...args], options, (error, stdout, stderr) => {
    resolve({ code: error ? Number(error.code) : 0, stdout, stderr })
  })
  return promise
}

describe('the program', () => {
  it('checks, and leaves no ledger behind', async () => {
    writeFileSync(path, '{"limits":{"perUser":{"requestsPerDay":2}}}')
    const good = await runMain(['--check'])
    expect(good).toMatchObject({
      code: 0,
      stderr: '',
      stdout: expect.stringContaining('each user  2 requests a day\n'),
    })
    writeFileSync(join(folder, '.env'), 'DAILY_SPENDING_LIMIT=3\nDAILY_SPENDING_LIMT=1\n')
    const warned = await runMain(['--check'])
    expect(warned).toMatchObject({ code: 1, stdout: expect.stringContaining('everyone   $3.00 a day\n') })
    expect(warned.stdout).toContain(
      'DAILY_SPENDING_LIMT: is no setting, and is not read. Did you mean DAILY_SPENDING_LIMIT?',
    )
    expect(readdirSync(folder).toSorted()).toEqual(['.env', 'bursar.json'])
  })

  it('does not start with a mistake in .env, and tells of those in bursar.json at once', async () => {
    writeFileSync(path, '{"limits":{},"limits":{}}')
    writeFileSync(join(folder, '.env'), 'PORT=0\nPORT=1\n')
    const { code, stderr } = await runMain([])
    expect(code).toBe(1)
    expect(stderr).toBe(`The configuration has 2 mistakes:
  .env:2: PORT: must not stand twice. It is in line 1 already
  bursar.json:1:14: limits: must not stand twice. It is in line 1 already
`)
    expect(readdirSync(folder).toSorted()).toEqual(['.env', 'bursar.json'])
  })

  it('says what an argument should have been', async () => {
    expect(await runMain(['--chekc'])).toMatchObject({
      code: 2,
      stderr: 'There is no option --chekc. Did you mean --check? See: bursar --help\n',
    })
  })
})
