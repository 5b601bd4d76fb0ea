// Key directory and key administration: what is read for a request, and what several writers at a time leave.

import { randomBytes } from 'node:crypto'
import { expect, it } from 'vitest'
import { Callers, type Identity } from '../../src/keys/callers.ts'
import { KeyAdministration } from '../../src/keys/key-administration.ts'
import { KeyDirectory } from '../../src/keys/key-directory.ts'
import { newKeySchema } from '../../src/keys/key-record.ts'
import { MemoryRegistry } from '../../src/stores/memory/registry.ts'
import { DocumentChanged, type DocumentDraft, type Registry, type WriteOrigin } from '../../src/stores/registry.ts'
import { ManualClock } from '../support/clocks.ts'
import { NO_LIMIT_CHANGES } from '../support/key-limits.ts'

const ORIGIN: WriteOrigin = { actor: 'admin', atMs: new ManualClock().wallMs, audit: true }

/** A registry that counts what is read. */
class CountingRegistry extends MemoryRegistry {
  reads = 0
  /** Called before each read is answered. */
  beforeRead: () => Promise<unknown> = async () => {}
  failedWrites = 0

  override async read(...query: Parameters<Registry['read']>) {
    this.reads += 1
    const found = await super.read(...query)
    await this.beforeRead()
    return found
  }

  override async page(...query: Parameters<Registry['page']>) {
    this.reads += 1
    return super.page(...query)
  }

  override async writeAll(drafts: readonly DocumentDraft[], origin: WriteOrigin) {
    if (this.failedWrites-- > 0) throw new DocumentChanged('changed')
    return super.writeAll(drafts, origin)
  }
}

function open(keys: readonly { id: string; secret: string }[] = [], maxKeptSecrets?: number) {
  const registry = new CountingRegistry()
  const directory = new KeyDirectory(registry, NO_LIMIT_CHANGES, maxKeptSecrets)
  const administration = new KeyAdministration({ registry, directory, limits: NO_LIMIT_CHANGES, keys, randomBytes })
  const clock = new ManualClock()
  const callers = new Callers({ keys, directory, adminKey: '', authOff: false, isExposed: false, clock })
  const identify = (secret: string) => callers.identify(requestWith(secret))
  const make = (fields: object) => administration.make(newKeySchema.parse({ name: 'x', ...fields }), ORIGIN)
  return { registry, directory, administration, identify, make }
}

function requestWith(secret: string) {
  const header = (name: string) => (name === 'x-api-key' ? secret : undefined)
  return { path: '/', query: '', header, remoteAddress: undefined }
}

it('reads a key at its first request, and answers the next ones without a promise', async () => {
  const { registry, identify, make, administration } = open()
  const { secret } = await make({ id: 'ci', project: 'web' })
  registry.reads = 0
  expect(identify(secret)).toBeInstanceOf(Promise)
  expect((await identify(secret)).caller).toMatchObject({ key: 'ci', project: 'web' })
  const { reads } = registry
  expect(identify(secret)).toMatchObject({ caller: { key: 'ci', project: 'web' }, key: { id: 'ci' } })
  await administration.change('ci', (before) => ({ ...before, project: 'api' }), ORIGIN)
  expect(identify(secret)).toMatchObject({ caller: { project: 'api' } })
  expect(registry.reads).toBe(reads + 1)
})

it('reads nothing for what cannot be the secret of a made key', async () => {
  const { registry, identify, make } = open()
  await make({ id: 'ci' })
  registry.reads = 0
  for (const secret of ['sk-1', 'BSR_1', 'x', 'of:ci'])
    await expect((async () => identify(secret))()).rejects.toThrow('Incorrect API key')
  expect(registry.reads).toBe(0)
  await expect(identify('bsr_1')).rejects.toThrow('Incorrect API key')
  expect(registry.reads).toBe(1)
})

it('all secrets of a key share one record, and a change of another key touches none', async () => {
  const { identify, make, administration } = open()
  const first = (await make({ id: 'ci' })).secret
  const second = (await administration.rotate('ci', 60_000, ORIGIN)).secret
  const other = (await make({ id: 'other' })).secret
  const keys = await Promise.all([first, second, other].map(async (secret) => (await identify(secret)).key))
  expect(keys[0]).toBe(keys[1])
  await administration.change('ci', (before) => ({ ...before, project: 'api' }), ORIGIN)
  const changed = [first, second, other].map((secret) => (identify(secret) as Identity).key)
  expect(changed[0]).toBe(changed[1])
  expect(changed[0]).toMatchObject({ project: 'api' })
  expect(changed[2]).toBe(keys[2])
  await administration.rotate('ci', 0, ORIGIN)
  for (const secret of [first, second])
    await expect((async () => identify(secret))()).rejects.toThrow('Incorrect API key')
})

it('forgets the secrets that were not used for longest, and no change of what it has', async () => {
  const { registry, directory, identify, make, administration } = open([], 8)
  const made = []
  for (let index = 0; index < 30; index++) made.push(await make({ id: `key-${index}` }))
  for (const { secret } of made) await identify(secret)
  expect(made.filter(({ secret }) => directory.known(secret)).length).toBeLessThanOrEqual(8)
  for (const { id } of made) await administration.change(id, (before) => ({ ...before, project: 'api' }), ORIGIN)
  registry.reads = 0
  for (const { secret } of made) expect((await identify(secret)).caller.project).toBe('api')
  expect(registry.reads).toBeGreaterThan(2 * 20)
})

it('keeps no key as it was before a change that came while the key was read', async () => {
  const { registry, identify, make, administration } = open()
  const { secret } = await make({ id: 'ci' })
  registry.beforeRead = async () => {
    registry.beforeRead = async () => {}
    await administration.rotate('ci', 0, ORIGIN)
  }
  await expect(identify(secret)).rejects.toMatchObject({ code: 'unauthenticated' })
  const { secret: second } = await administration.rotate('ci', 0, ORIGIN)
  let reads = 0
  registry.beforeRead = async () => {
    if (++reads !== 2) return
    await administration.change('ci', (before) => ({ ...before, disabled: true }), ORIGIN)
  }
  await expect(identify(second)).rejects.toThrow('This API key is disabled.')
  expect(() => identify(second)).toThrow('This API key is disabled.')
})

it('reads nothing at the start but whether there is a key', async () => {
  const { registry, administration, directory } = open()
  await administration.open()
  expect([registry.reads, directory.hasKeys]).toEqual([1, false])
})

it('refuses to start if a key of BURSAR_KEYS has the id of a key that was made', async () => {
  const { registry, make } = open()
  await make({ id: 'ci' })
  const keys = [
    { id: 'ci', secret: 'ci-secret-ci-secret' },
    { id: 'alice', secret: 'alice-secret-alice' },
  ]
  const directory = new KeyDirectory(registry, NO_LIMIT_CHANGES)
  await expect(
    new KeyAdministration({ registry, directory, limits: NO_LIMIT_CHANGES, keys, randomBytes }).open(),
  ).rejects.toThrow(
    /1 mistake:\n {2}BURSAR_KEYS: ci is also the id of a key that POST \/admin\/keys made, .*Rename the key in BURSAR_KEYS/,
  )
})

it('gives one of many that ask for an id at the same time that id', async () => {
  const { make } = open()
  const made = await Promise.allSettled(Array.from({ length: 10 }, () => make({ id: 'ci' })))
  expect(made.filter(({ status }) => status === 'fulfilled')).toHaveLength(1)
  const named = await Promise.all(Array.from({ length: 10 }, () => make({ name: 'Web' })))
  expect(new Set(named.map(({ id }) => id)).size).toBe(10)
})

it('makes a change again that another one overtook, and gives up if others stay faster', async () => {
  const { registry, make, administration } = open()
  await make({ id: 'ci' })
  const rename = () => administration.change('ci', (before) => ({ ...before, name: `${before.name}y` }), ORIGIN)
  registry.failedWrites = 2
  expect((await rename()).document.name).toBe('xy')
  registry.failedWrites = 5
  await expect(rename()).rejects.toMatchObject({ code: 'conflict', status: 409 })
  registry.failedWrites = 5
  await expect(administration.rotate('ci', 0, ORIGIN)).rejects.toMatchObject({ code: 'conflict' })
  registry.failedWrites = 0
  expect((await administration.find('ci')).document.name).toBe('xy')
})

it('ends the oldest of many secrets in their grace', async () => {
  const { make, administration, identify } = open()
  const secrets = [(await make({ id: 'ci' })).secret]
  for (let count = 0; count < 12; count++) secrets.push((await administration.rotate('ci', 3_600_000, ORIGIN)).secret)
  const works = await Promise.all(
    secrets.map(async (secret) => {
      try {
        await identify(secret)
        return true
      } catch {
        return false
      }
    }),
  )
  expect(works).toEqual([false, false, ...Array(11).fill(true)])
})
