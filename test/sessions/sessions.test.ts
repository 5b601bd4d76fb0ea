// Sessions: how many there are, what they read and write, and what happens if the registry cannot be written.

import { randomBytes } from 'node:crypto'
import { describe, expect, it } from 'vitest'
import { Callers } from '../../src/keys/callers.ts'
import { KeyAdministration } from '../../src/keys/key-administration.ts'
import { KeyDirectory } from '../../src/keys/key-directory.ts'
import { newKeySchema } from '../../src/keys/key-record.ts'
import { Sessions } from '../../src/sessions/sessions.ts'
import { MemoryRegistry } from '../../src/stores/memory/registry.ts'
import type { DocumentDraft, DocumentKind, WriteOrigin } from '../../src/stores/registry.ts'
import { StoreUnavailable } from '../../src/stores/store.ts'
import { ManualClock } from '../support/clocks.ts'
import { NO_LIMIT_CHANGES } from '../support/key-limits.ts'

/** A registry that counts, and that fails while it is told to. */
class CountingRegistry extends MemoryRegistry {
  reads = 0
  writes = 0
  isLost = false

  override async read(kind: DocumentKind, id?: string) {
    this.reads += 1
    return super.read(kind, id)
  }

  override async writeAll(drafts: readonly DocumentDraft[], origin: WriteOrigin) {
    this.writes += 1
    if (this.isLost) throw new StoreUnavailable('The registry could not be written.')
    return super.writeAll(drafts, origin)
  }
}

const ADMIN_KEY = 'the-admin-secret'

async function open(registry = new CountingRegistry()) {
  const clock = new ManualClock()
  const keys = [{ id: 'alice', secret: 'alice-secret-alice' }]
  const directory = new KeyDirectory(registry, NO_LIMIT_CHANGES, 2)
  const callers = new Callers({ keys, directory, adminKey: ADMIN_KEY, authOff: false, isExposed: false, clock })
  const sessions = new Sessions({ registry, callers, clock, randomBytes })
  const administration = new KeyAdministration({ registry, directory, limits: NO_LIMIT_CHANGES, keys, randomBytes })
  await administration.open()
  await sessions.open()
  const origin = () => ({ actor: 'admin', atMs: clock.wallMs, audit: true })
  return {
    ...{ clock, registry, callers, sessions, administration, origin },
    begin: async (secret: string) => sessions.begin(await callers.holderOf(secret), '10.0.0.7'),
    makes: (name: string) => administration.make(newKeySchema.parse({ name }), origin()),
  }
}

describe('sessions', () => {
  it('are used without a read or a write, also once the directory has forgotten their key', async () => {
    const { begin, makes, sessions, callers, registry } = await open()
    const secrets: string[] = []
    for (const name of ['A', 'B', 'C', 'D']) secrets.push(await begin((await makes(name)).secret))
    secrets.push(await begin(ADMIN_KEY), await begin('alice-secret-alice'))
    for (const secret of secrets) await sessions.find(secret)
    const before = [registry.reads, registry.writes]
    for (let count = 0; count < 10; count++)
      for (const secret of secrets) expect(await sessions.find(secret)).toBeDefined()
    expect([registry.reads, registry.writes]).toEqual(before)
    expect(callers.hasKeys).toBe(true)
  })

  it('follow their key, also once the directory has forgotten it', async () => {
    const { begin, makes, sessions, administration, origin } = await open()
    const [a, b] = [await begin((await makes('A')).secret), await begin((await makes('B')).secret)]
    await sessions.find(a)
    for (const name of ['C', 'D', 'E', 'F']) await begin((await makes(name)).secret)
    await administration.change('a', (fields) => ({ ...fields, user: 'ann' }), origin())
    expect(await sessions.find(a)).toMatchObject({ viewer: { record: { user: 'ann' } } })
    await administration.change('a', (fields) => ({ ...fields, disabled: true }), origin())
    expect(await sessions.find(a)).toBeUndefined()
    await administration.rotate('b', 0, origin())
    expect(await sessions.find(b)).toBeUndefined()
  })

  it('are a thousand at most: another one ends the oldest of the holder that has most', async () => {
    const { begin, sessions, registry, clock } = await open()
    const admin = await begin(ADMIN_KEY)
    const ofAlice: string[] = []
    for (let count = 0; count < 1_010; count++) {
      clock.advance(1)
      ofAlice.push(await begin('alice-secret-alice'))
    }
    expect(await sessions.list()).toHaveLength(1_000)
    const found = await Promise.all(ofAlice.map((secret) => sessions.find(secret)))
    expect(found.findIndex((live) => live !== undefined)).toBe(11)
    expect(await sessions.find(admin)).toBeDefined()
    expect(await registry.read('session')).toHaveLength(1_000)
    const slots = (await registry.read('session-secret')).map(({ id }) => Number(id))
    expect(Math.max(...slots)).toBeLessThan(1_010)
  })

  it('leave no more documents behind, the more there were', async () => {
    const { begin, sessions, registry } = await open()
    for (let count = 0; count < 20; count++) await sessions.end(await begin(ADMIN_KEY))
    await begin(ADMIN_KEY)
    expect((await registry.read('session')).map(({ id }) => id)).toEqual(['0'])
  })

  it('that cannot be written do not begin', async () => {
    const { begin, sessions, registry } = await open()
    registry.isLost = true
    await expect(begin(ADMIN_KEY)).rejects.toThrow(StoreUnavailable)
    expect(await sessions.list()).toEqual([])
    registry.isLost = false
    await begin(ADMIN_KEY)
    expect((await registry.read('session')).map(({ id }) => id)).toEqual(['0'])
  })

  it('that end while the registry cannot be written have ended, and are deleted later', async () => {
    const { begin, sessions, registry } = await open()
    const secret = await begin(ADMIN_KEY)
    registry.isLost = true
    await expect(sessions.end(secret)).rejects.toThrow(StoreUnavailable)
    await expect(sessions.sweep()).rejects.toThrow(StoreUnavailable)
    expect(await sessions.find(secret)).toBeUndefined()
    registry.isLost = false
    await sessions.sweep()
    expect(await registry.read('session')).toEqual([])
  })

  it('that cannot be revoked go on', async () => {
    const { begin, sessions, registry, origin } = await open()
    const secret = await begin(ADMIN_KEY)
    const [live] = await sessions.list()
    registry.isLost = true
    await expect(sessions.revoke(live?.session.id ?? '', origin())).rejects.toThrow(StoreUnavailable)
    expect(await sessions.find(secret)).toBeDefined()
  })

  it.each([
    ['of another version', { kind: 'session', id: '0', value: { id: 'x' } }],
    ['without their secret', { kind: 'session-secret', id: '0', value: null }],
    [
      'with the secret of another',
      { kind: 'session-secret', id: '0', value: { id: 'x', digest: 'y', stamp: { digest: 'z' } } },
    ],
  ] as const)('%s are deleted at the start', async (_what, draft) => {
    const { begin, registry, clock } = await open()
    await begin(ADMIN_KEY)
    await registry.writeAll([draft], { actor: 'gateway', atMs: clock.wallMs, audit: false })
    const next = await open(registry)
    expect(await next.sessions.list()).toEqual([])
    expect(await registry.read('session')).toEqual([])
  })
})
