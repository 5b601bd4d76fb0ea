// Attacks on reports: figures of other people by every path and parameter, names that are meant as SQL or as formulas, and broken ones.

import { mkdtemp, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { parse } from 'csv-parse/sync'
import { afterAll, beforeAll, describe, expect, it, onTestFinished } from 'vitest'
import { ENDPOINTS } from '../../src/http/index.ts'
import type { ManualClock } from '../support/clocks.ts'
import type { Gateway } from '../support/gateway.ts'
import { AS_ADMIN, AS_ALICE, AS_BOB, ask, HOSTILE_NAMES, KEY_SECRETS, openLedger, writeCall } from './usage-ledger.ts'

let folder = ''
beforeAll(async () => {
  folder = await mkdtemp(join(tmpdir(), 'bursar-attacks-'))
})
afterAll(() => rm(folder, { recursive: true }))

let files = 0
async function open(kind: string, settings: Readonly<Record<string, string>> = {}): Promise<Gateway<ManualClock>> {
  const database = kind === 'memory' ? 'memory:' : `sqlite:${join(folder, `${++files}.db`)}`
  const gateway = await openLedger(database, settings)
  onTestFinished(() => gateway.close())
  return gateway
}

/** Paths of all reports, with the user, thread and task of bob where a path names one. */
const REPORTS = ENDPOINTS.filter(
  ({ path, role }) => role === 'figures' && /^.(token-usage|api.metrics)/.test(path),
).map(({ path }) => path.replace(':id', 'of-bob'))

const BOBS = { key: 'bob', user: 'of-bob', thread: 'of-bob', agent: 'of-bob', task: 'of-bob', project: 'of-bob' }
const FILTERS = ['user', 'thread', 'agent', 'task', 'project', 'organisation', 'operation', 'provider']

/** A ledger in which all calls are bob's. */
async function openBobs(kind = 'memory'): Promise<Gateway<ManualClock>> {
  const gateway = await open(kind)
  for (let call = 0; call < 3; call++)
    await writeCall(gateway, {
      caller: { ...BOBS, organisation: 'of-bob' },
      operation: 'of-bob',
      provider: 'of-bob',
      model: 'of-bob',
      costNanoUsd: 7_777n,
      tokens: 4_242,
    })
  const refused = { key: 'bob', atMs: gateway.clock.wallMs, simulated: false, isShadow: false }
  await gateway.app.store.append([{ kind: 'refusals', reason: 'limit-of-bob', count: 5, refused }], gateway.clock.now())
  return gateway
}

/** Nothing of bob's, but for what the request itself names. */
function expectNothing(text: string, path: string): void {
  const named = text.replace(/"(user_id|thread_id|task_id)":"of-bob"/, '')
  expect([path, named]).toEqual([path, expect.not.stringMatching(/of-bob|7777|4242|bob"|23331|12726/)])
}

describe('a key sees nothing of another', () => {
  it('by any path', async () => {
    const gateway = await openBobs()
    expect(REPORTS.length).toBeGreaterThan(13)
    for (const path of REPORTS) {
      const hasFormats = path.startsWith('/token-usage') && !/\/(recommendations|series|forecast)$/.test(path)
      const formats = hasFormats ? ['', '?format=csv'] : ['']
      for (const format of formats) {
        const { status, text } = await ask(gateway, path + format, AS_ALICE)
        expect([path, status]).toEqual([path, 200])
        expectNothing(text, path)
        const { text: ofBob } = await ask(gateway, path + format, AS_BOB)
        expect([path, ofBob]).toEqual([path, expect.stringMatching(/7777|23331|5/)])
      }
    }
  })

  it('by any filter', async () => {
    const gateway = await openBobs()
    for (const filter of FILTERS)
      for (const path of ['/token-usage/by-model', '/token-usage/by-user', '/token-usage/all', '/token-usage/by-day'])
        expectNothing((await ask(gateway, `${path}?${filter}=of-bob`, AS_ALICE)).text, `${path} ${filter}`)
    expectNothing((await ask(gateway, '/token-usage/all?model=of-bob/of-bob', AS_ALICE)).text, 'model')
  })

  it('by naming its key, of which it does not learn whether there is one', async () => {
    const gateway = await openBobs()
    for (const path of REPORTS) {
      const answers = []
      for (const key of ['bob', 'nobody', '', 'BOB', 'alice%00', KEY_SECRETS.bob])
        answers.push(await ask(gateway, `${path}?key=${key}`, AS_ALICE))
      expect([path, ...new Set(answers.map(({ status, text }) => `${status} ${text}`))]).toHaveLength(2)
      expect(answers[0]?.body.error).toMatchObject({ code: 'forbidden', param: 'key' })
      expect(answers[0]?.text).not.toContain('bob')
    }
  })

  it('by naming a key twice, or its own', async () => {
    const gateway = await openBobs()
    for (const query of ['key=alice&key=bob', 'key=bob&key=alice', 'key=alice&%6bey=bob'])
      expect((await ask(gateway, `/token-usage/all?${query}`, AS_ALICE)).status).toBe(400)
    expect((await ask(gateway, '/token-usage/all?key=alice', AS_ALICE)).body.records).toEqual([])
  })

  it('by the secret in the address, which is its own key and not a name', async () => {
    const gateway = await openBobs()
    const { body, status } = await ask(gateway, `/token-usage/all?key=${KEY_SECRETS.alice}`, {})
    expect([status, body.records]).toEqual([200, []])
    expect((await ask(gateway, `/token-usage/all?key=${KEY_SECRETS.bob}`, {})).body.records).toHaveLength(3)
    expect((await ask(gateway, '/token-usage/all?key=bob', {})).status).toBe(401)
  })

  it('by a cursor of the other’s pages', async () => {
    const gateway = await openBobs()
    const { body } = await ask(gateway, '/token-usage/all?limit=1', AS_BOB)
    expect(body.next_cursor).not.toBeNull()
    const { text } = await ask(gateway, `/token-usage/all?cursor=${body.next_cursor}`, AS_ALICE)
    expectNothing(text, 'cursor')
  })
})

describe('figures are not for', () => {
  it('those without a key while there are keys, nor for wrong keys', async () => {
    const gateway = await openBobs()
    for (const path of REPORTS)
      for (const headers of [{}, { authorization: 'Bearer somebody-else-entirely' }] as Readonly<
        Record<string, string>
      >[]) {
        const { status, text } = await ask(gateway, path, headers)
        expect([path, status]).toEqual([path, 401])
        expectNothing(text, path)
      }
  })

  it('guests, who have no key because there is none, beside an admin key', async () => {
    const gateway = await open('memory', { BURSAR_KEYS: '' })
    await writeCall(gateway, { caller: { user: 'of-bob' } })
    for (const path of REPORTS) expect([path, (await ask(gateway, path, {})).status]).toEqual([path, 401])
  })

  it('keys, where they are the administrator’s: the self-check and the reset', async () => {
    const gateway = await openBobs()
    for (const headers of [AS_ALICE, {}, { authorization: `${AS_ADMIN.authorization}x` }])
      for (const [method, path] of [
        ['GET', '/audit/self-check'],
        ['HEAD', '/audit/self-check'],
        ['POST', '/api/metrics/reset'],
      ] as const) {
        const response = await gateway.client.fetch('in process', path, { method, headers })
        expect([method, path, response.status]).toEqual([method, path, 401])
      }
    expect((await ask(gateway, '/api/metrics/summary')).body.global.total_requests.value).toBe(3)
  })
})

describe.each(['memory', 'sqlite'])('%s: a name that callers choose', (kind) => {
  it('is only a name: in paths, in filters, in groups and in tables', async () => {
    const gateway = await open(kind)
    for (const name of [...HOSTILE_NAMES, null])
      await writeCall(gateway, { caller: { key: 'alice', user: name, thread: name, task: name, agent: name } })
    for (const name of HOSTILE_NAMES) {
      const written = encodeURIComponent(name)
      for (const path of [`user/${written}?days=1`, `thread/${written}?days=1`, `by-model?agent=${written}`]) {
        const { status, body } = await ask(gateway, `/token-usage/${path}`)
        expect([path, status, body.total_requests.value]).toEqual([path, 200, 1])
      }
      expect((await ask(gateway, `/api/metrics/task/${written}`)).body.total_cost_usd.nanoUsd).toBe(1_000n)
    }
    const { body } = await ask(gateway, '/token-usage/by-user')
    expect(new Set(body.groups.map(({ user }) => user))).toEqual(new Set([...HOSTILE_NAMES, null]))
    expect(Object.keys(body.requests_by_agent).toSorted()).toEqual([...HOSTILE_NAMES, ''].toSorted())
    expect((await ask(gateway, '/token-usage/by-user?user=')).body.total_requests.value).toBe(1)
    const rows: string[][] = parse((await ask(gateway, '/token-usage/by-user?format=csv')).text)
    const names = rows.slice(1).map(([user = '']) => user.replace(/^'/, ''))
    expect(names.toSorted()).toEqual([...HOSTILE_NAMES, ''].toSorted())
    for (const cell of rows.flat()) expect(cell).not.toMatch(/^\s*[=+@]/)
  })

  it('matches no other name, whatever it means to a database', async () => {
    const gateway = await open(kind)
    await writeCall(gateway, { caller: { key: 'alice', user: 'ann', thread: 't' }, operation: 'plan' })
    for (const name of [
      "' OR 1=1 --",
      "x' UNION SELECT * FROM document --",
      '%',
      '_',
      '*',
      '\\',
      '"',
      '\0',
      '$1',
      '?1',
    ])
      for (const filter of FILTERS) {
        const query = `${filter}=${encodeURIComponent(name)}`
        const { status, body } = await ask(gateway, `/token-usage/by-user?${query}`, AS_ADMIN)
        expect([query, status, body.total_requests.value]).toEqual([query, 200, 0])
        // Whether there is such a key is looked up in the ledger, too.
        const { body: refusal } = await ask(gateway, `/token-usage/by-user?key=${encodeURIComponent(name)}`, AS_ADMIN)
        expect([name, refusal.error.param]).toEqual([name, 'key'])
      }
  })

  it('is no cursor', async () => {
    const gateway = await open(kind)
    for (const cursor of ["1' OR '1'='1", '1.1; DROP TABLE entry', '9'.repeat(16), '-1.1', '1.1.1', ' 1.1', 'NaN.1']) {
      const { status, body } = await ask(gateway, `/token-usage/all?cursor=${encodeURIComponent(cursor)}`)
      expect([cursor, status, body.error.param]).toEqual([cursor, 400, 'cursor'])
    }
  })
})

describe('a zone', () => {
  it.each(["UTC' --", '../../etc/passwd', '__proto__', 'UTC\r\nset-cookie: a=b', '{}', 'Europe/Berlin\0'])(
    'of %j is refused',
    async (zone) => {
      const gateway = await open('memory')
      const { status, body } = await ask(gateway, `/token-usage/by-day?tz=${encodeURIComponent(zone)}&format=csv`)
      expect([status, body.error.param]).toEqual([400, 'tz'])
    },
  )
})
