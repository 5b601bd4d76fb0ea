// The environment: variables that are nearly settings, and what is wrong with the text of .env.

import { describe, expect, test } from 'vitest'
import { checkEnvFile } from '../../src/config/env-file.ts'
import { unknownSettings } from '../../src/config/setting-names.ts'
import { SETTINGS } from '../../src/config/settings.ts'

describe('a variable that is nearly a setting is told', () => {
  test.each([
    ['DAILY_SPENDING_LIMT', 'DAILY_SPENDING_LIMIT'],
    ['daily_spending_limit', 'DAILY_SPENDING_LIMIT'],
    ['DAILY_LIMIT', 'DAILY_SPENDING_LIMIT'],
    ['DAILYSPENDINGLIMIT', 'DAILY_SPENDING_LIMIT'],
    ['OPENAI_APIKEY', 'OPENAI_API_KEY'],
    ['OPENAI_KEY', 'OPENAI_API_KEY'],
    ['ANTHROPIC_KEY', 'ANTHROPIC_API_KEY'],
    ['ANTRHOPIC_API_KEY', 'ANTHROPIC_API_KEY'],
    ['MAX_TOKENS_PER_MIN', 'MAX_TOKENS_PER_MINUTE'],
    ['MAX_REQUEST_PER_MINUTE', 'MAX_REQUESTS_PER_MINUTE'],
    ['BURSAR_KEY', 'BURSAR_KEYS'],
    ['BURSAR_PORT', 'PORT'],
    ['BURSAR_DAILY_SPENDING_LIMIT', 'DAILY_SPENDING_LIMIT'],
    ['ADMINKEY', 'ADMIN_KEY'],
    ['TIMEZONE', 'TIME_ZONE'],
    ['SPENDING_LIMIT_DAILY', 'DAILY_SPENDING_LIMIT'],
    ['SPENDING_LIMIT', 'DAILY_SPENDING_LIMIT'],
    ['DAILY_SPENDING', 'DAILY_SPENDING_LIMIT'],
    ['MONTHLY_BUDGET_LIMIT', 'MONTHLY_SPENDING_LIMIT'],
    ['MAX_REQUESTS', 'MAX_REQUESTS_PER_MINUTE'],
    ['MAX_REQ_PER_MIN', 'MAX_REQUESTS_PER_MINUTE'],
    ['TOKENS_PER_MINUTE', 'MAX_TOKENS_PER_MINUTE'],
    ['MAX_COST', 'MAX_COST_PER_REQUEST'],
    ['OPENAI_API', 'OPENAI_API_KEY'],
  ])('%s: %s', (name, setting) => {
    expect(unknownSettings({ [name]: 'x' }, new Set())).toEqual([
      `${name}: is no setting, and is not read. Did you mean ${setting}?`,
    ])
  })

  test('if its name begins with ours, even if none is near', () => {
    expect(unknownSettings({ BURSAR_COLOUR: 'red' }, new Set())).toEqual([
      'BURSAR_COLOUR: is no setting, and is not read. .env.example lists the settings',
    ])
  })

  test('its value is not', () => {
    expect(unknownSettings({ OPENAI_KEY: 'sk-secret' }, new Set()).join()).not.toContain('sk-')
  })
})

test('variables of other programs are left alone', () => {
  const names = [
    ...['PATH', 'HOME', 'HOSTNAME', 'host', 'port', 'POST', 'PWD', 'SHELL', 'TZ', 'USER', 'LANG', 'AUTHOR', 'SHLVL'],
    ...[
      'DATABASE_USER',
      'GROQ_API_KEY',
      'GOOGLE_API_KEY',
      'AZURE_OPENAI_API_KEY',
      'OPENAI_ORG_ID',
      ...['API_KEY', 'BASE_URL', 'TIMEOUT_MS', 'MAX_RETRIES', 'RATE_LIMIT', 'ANTHROPIC_SMALL_FAST_MODEL'],
      'ANTHROPIC_AUTH_TOKEN',
    ],
    ...[
      'NODE_ENV',
      'NODE_OPTIONS',
      'NODE_COMPILE_CACHE',
      'npm_config_cache',
      'LOG_FILE',
      'REDIS_URL',
      'MAX_MEMORY',
      '_',
    ],
  ]
  expect(unknownSettings(Object.fromEntries(names.map((name) => [name, 'x'])), new Set())).toEqual([])
  expect(unknownSettings(Object.fromEntries(Object.keys(SETTINGS).map((name) => [name, 'x'])), new Set())).toEqual([])
  for (const name of ['BURSAR_URL', 'BURSAR_ADMIN_KEY', 'BURSAR_CALLER_KEY'])
    expect(unknownSettings({ [name]: 'x' }, new Set())).toEqual([])
  expect(unknownSettings({ time_zone: 'UTC', TIME_ZONE: 'UTC' }, new Set())).toEqual([])
  expect(unknownSettings({ OPENAI_API_KEY_2: 'x' }, new Set(['OPENAI_API_KEY_2']))).toEqual([])
})

describe('.env', () => {
  test.each<[string, readonly string[], readonly string[]]>([
    ['', [], []],
    ['# a comment\n\nPORT=1\nexport HOST = x\r\nA=\n  B=" # "', [], []],
    ['\uFEFFPORT=1', [], []],
    ['PORT=1\nHOST=x\nPORT=2', ['.env:3: PORT: must not stand twice. It is in line 1 already'], []],
    ['MINE=1\nMINE=2', [], []],
    [
      'DAILY_SPENDING_LIMIT 5\nPORT:1',
      [],
      ['.env:1: must be NAME=value. The line sets nothing', '.env:2: must be NAME=value. The line sets nothing'],
    ],
    ['PORT: 1\nPORT=2', ['.env:2: PORT: must not stand twice. It is in line 1 already'], []],
    ['A="several\nPORT=1\nlines"\nPORT=2', [], []],
    ["A='not closed\nPORT=1\nPORT=2", ['.env:3: PORT: must not stand twice. It is in line 2 already'], []],
  ])('%j', (text, mistakes, warnings) => {
    expect(checkEnvFile(text, '.env')).toEqual({ mistakes, warnings })
  })
})
