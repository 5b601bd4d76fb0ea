// What every store promises of its registry.

import { afterEach, beforeEach, expect } from 'vitest'
import { DocumentChanged, type PageQuery, type Registry } from '../../../src/stores/registry.ts'
import type { Store } from '../../../src/stores/store.ts'
import { at, reservationOf } from '../calls.ts'
import type { StoreFactory } from './conformance.ts'
import { promise } from './promises.ts'

export function registrySuite(kind: StoreFactory): void {
  let store: Store
  let registry: Registry
  beforeEach(async () => {
    store = (await kind.open()).store
    registry = store.registry
  })
  afterEach(() => store.close(at()))
  const by = { actor: 'admin', atMs: at().wallMs, audit: true }

  promise('a document that was written is read, and a deleted one is not', async () => {
    await registry.write({ kind: 'key', id: 'b', value: { name: 'b', list: [1] } }, by)
    await registry.write({ kind: 'key', id: 'a', value: 'text' }, by)
    await registry.write({ kind: 'limit-seed', id: 'a', value: 1 }, by)
    expect((await registry.read('key')).map(({ id, value }) => [id, value])).toContainEqual([
      'b',
      { name: 'b', list: [1] },
    ])
    expect(await registry.read('key', 'a')).toMatchObject([{ kind: 'key', id: 'a', value: 'text', version: 2 }])
    const gone = await registry.write({ kind: 'key', id: 'a', value: null }, by)
    expect(gone).toEqual({ kind: 'key', id: 'a', value: null, version: 4 })
    expect(await registry.read('key', 'a')).toEqual([])
    expect((await registry.read('key')).map(({ id }) => id)).toEqual(['b'])
  })

  promise(
    "the audit shows who changed what, newest first, in pages, without secrets and the gateway's own state",
    async () => {
      await registry.write({ kind: 'price', id: 'm', value: 1 }, by)
      await registry.write({ kind: 'cursor', id: 'c', value: 7 }, { actor: 'gateway', atMs: 1, audit: false })
      await registry.write({ kind: 'key-secret', id: 'd', value: { key: 'a' } }, by)
      await registry.write({ kind: 'price', id: 'm', value: 2 }, { ...by, actor: 'key-1' })
      const [newest, oldest] = await registry.audit({ limit: 10 })
      expect(newest).toMatchObject({ version: 4, actor: 'key-1', kind: 'price', id: 'm', before: 1, after: 2 })
      expect(oldest).toMatchObject({ version: 1, actor: 'admin', before: null, after: 1 })
      expect(await registry.audit({ limit: 10 })).toHaveLength(2)
      expect(await registry.audit({ limit: 1 })).toEqual([newest])
      expect(await registry.audit({ limit: 1, beforeVersion: 4 })).toEqual([oldest])
    },
  )

  promise('documents are read in pages by id, narrowed by a field', async () => {
    for (const [id, project] of [
      ['c', 'web'],
      ['a', 'web'],
      ['b', 'app'],
      ['d', 'web'],
    ] as const)
      await registry.write({ kind: 'key', id, value: { project } }, by)
    await registry.write({ kind: 'key', id: 'd', value: null }, by)
    const ids = async (query: PageQuery) => (await registry.page('key', query)).map(({ id }) => id)
    expect(await ids({ limit: 2 })).toEqual(['a', 'b'])
    expect(await ids({ limit: 2, afterId: 'b' })).toEqual(['c'])
    expect(await ids({ limit: 9, where: { field: 'project', text: 'web' } })).toEqual(['a', 'c'])
  })

  promise('documents of a list are written together or not at all', async () => {
    const drafts = [
      { kind: 'key', id: 'a', value: 1, replaces: 0 },
      { kind: 'key-secret', id: 'x', value: 2, replaces: 0 },
    ] as const
    expect((await registry.writeAll(drafts, by)).map(({ version }) => version)).toEqual([1, 2])
    const again = [{ kind: 'key', id: 'b', value: 1 } as const, drafts[1]]
    await expect(registry.writeAll(again, by)).rejects.toThrow(DocumentChanged)
    expect(await registry.read('key', 'b')).toEqual([])
    expect((await registry.write({ kind: 'key', id: 'b', value: 1 }, by)).version).toBe(3)
  })

  promise('a draft of an older version is refused, and nothing is written', async () => {
    const first = await registry.write({ kind: 'key', id: 'a', value: 1, replaces: 0 }, by)
    const second = await registry.write({ kind: 'key', id: 'a', value: 2, replaces: first.version }, by)
    const late = registry.write({ kind: 'key', id: 'a', value: 3, replaces: first.version }, by)
    await expect(late).rejects.toThrow(DocumentChanged)
    expect(await registry.read('key', 'a')).toEqual([second])
    await registry.write({ kind: 'key', id: 'a', value: null, replaces: second.version }, by)
    await registry.write({ kind: 'key', id: 'a', value: 4, replaces: 0 }, by)
    expect(await registry.audit({ limit: 9 })).toHaveLength(4)
  })

  promise('watchers are called for their kind, in order, until they stop', async () => {
    const seen: unknown[] = []
    const stop = registry.watch('limit-seed', ({ value }) => seen.push(value))
    for (const value of [1, 2]) await registry.write({ kind: 'limit-seed', id: 'x', value }, by)
    await registry.write({ kind: 'key', id: 'x', value: 'other' }, by)
    stop()
    await registry.write({ kind: 'limit-seed', id: 'x', value: 3 }, by)
    expect(seen).toEqual([1, 2])
  })

  promise('writing documents does not get in the way of calls', async () => {
    const writes = [1, 2, 3].map((value) => registry.write({ kind: 'alert', id: 'a', value }, { ...by, audit: false }))
    const calls = [1, 2, 3].map((id) => store.reserve([reservationOf(`${id}`, [])], at()))
    await Promise.all([...writes, ...calls])
    expect(await registry.read('alert')).toMatchObject([{ value: 3, version: 3 }])
    expect((await store.figures({ simulated: false })).open.calls).toBe(3)
  })
}
