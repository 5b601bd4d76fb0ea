// What every store promises of its registry.

import { afterEach, beforeEach, expect } from 'vitest'
import type { Registry } from '../../../src/stores/registry.ts'
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

  promise("the audit shows who changed what, newest first, without the gateway's own state", async () => {
    await registry.write({ kind: 'price', id: 'm', value: 1 }, by)
    await registry.write({ kind: 'cursor', id: 'c', value: 7 }, { actor: 'gateway', atMs: 1, audit: false })
    await registry.write({ kind: 'price', id: 'm', value: 2 }, { ...by, actor: 'key-1' })
    const [newest, oldest] = await registry.audit(10)
    expect(newest).toMatchObject({ version: 3, actor: 'key-1', kind: 'price', id: 'm', before: 1, after: 2 })
    expect(oldest).toMatchObject({ version: 1, actor: 'admin', before: null, after: 1 })
    expect(await registry.audit(1)).toEqual([newest])
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
