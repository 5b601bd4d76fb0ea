// What every store promises of its queue of alerts.

import { afterEach, beforeEach, expect } from 'vitest'
import { type AlertDraft, type AlertQueue, MAX_PENDING_ALERTS } from '../../../src/stores/alert-queue.ts'
import type { Store } from '../../../src/stores/store.ts'
import { at } from '../calls.ts'
import type { OpenedStore, StoreFactory } from './conformance.ts'
import { promise } from './promises.ts'

const NOW = 1_000_000
const draft = (key: string, fields: Partial<AlertDraft> = {}): AlertDraft => ({
  receiver: 'ops',
  key,
  rank: 0,
  messageId: `msg_${key}`,
  message: '{}',
  keepUntilMs: NOW + 100,
  ...fields,
})

export function alertsSuite(kind: StoreFactory): void {
  let store: Store
  let alerts: AlertQueue
  let reopen: OpenedStore['reopen']
  beforeEach(async () => {
    const opened = await kind.open()
    store = opened.store
    reopen = opened.reopen
    alerts = store.alerts
  })
  afterEach(() => store.close(at()))
  const due = async (nowMs = NOW, receiver = 'ops') =>
    (await alerts.due(receiver, nowMs, 10)).map(({ messageId }) => messageId)
  const first = async () => (await alerts.due('ops', NOW * 2, 1))[0]?.id ?? 0

  promise(
    'an alert is added once for each receiver, key and rank, and a lower rank not after a higher one',
    async () => {
      const drafts = [
        draft('a', { rank: 80 }),
        draft('a', { rank: 80 }),
        draft('a', { rank: 50 }),
        draft('a', { rank: 100 }),
      ]
      expect(await alerts.add([...drafts, draft('a', { receiver: 'team', rank: 50 })], NOW)).toEqual({
        added: 3,
        overflowed: 0,
      })
      expect(await due()).toHaveLength(2)
      expect(await due(NOW, 'team')).toHaveLength(1)
    },
  )

  promise('an alert can be added again once its key is kept no longer', async () => {
    await alerts.add([draft('a')], NOW)
    expect(await alerts.add([draft('a')], NOW + 99)).toMatchObject({ added: 0 })
    expect(await alerts.add([draft('a')], NOW + 100)).toMatchObject({ added: 1 })
  })

  promise('an alert that was sent before it was written is kept and not pending', async () => {
    await alerts.add([draft('a', { sentAtMs: NOW - 5 })], NOW)
    expect(await due()).toEqual([])
    expect(await alerts.add([draft('a')], NOW)).toMatchObject({ added: 0 })
    expect(await alerts.deliveries()).toMatchObject([{ receiver: 'ops', pending: 0, lastSentAtMs: NOW - 5 }])
  })

  promise('too many pending alerts are refused, and counted', async () => {
    const many = Array.from({ length: MAX_PENDING_ALERTS }, (_, index) =>
      draft(`${index}`, { receiver: `r${index % 100}` }),
    )
    expect(await alerts.add(many, NOW)).toEqual({ added: MAX_PENDING_ALERTS, overflowed: 0 })
    expect(await alerts.add([draft('more'), draft('0', { receiver: 'r0' })], NOW)).toEqual({ added: 0, overflowed: 1 })
  })

  promise('pending alerts come oldest first, once they are due', async () => {
    await alerts.add([draft('a'), draft('b')], NOW)
    expect(await due(NOW - 1)).toEqual([])
    expect(await due()).toEqual(['msg_a', 'msg_b'])
  })

  promise('the next attempt is that of the receivers that are asked for', async () => {
    await alerts.add([draft('a')], NOW)
    expect([
      await alerts.nextDueAtMs(['ops']),
      await alerts.nextDueAtMs(['team']),
      await alerts.nextDueAtMs([]),
    ]).toEqual([NOW, undefined, undefined])
  })

  promise('an alert that was delivered or given up is no longer pending, and its key is kept', async () => {
    await alerts.add([draft('a'), draft('b')], NOW)
    await alerts.record(await first(), { kind: 'delivered' }, NOW)
    await alerts.record(await first(), { kind: 'givenUp', error: 'no' }, NOW)
    expect(await due(NOW * 2)).toEqual([])
    expect(await alerts.add([draft('a'), draft('b')], NOW)).toMatchObject({ added: 0 })
  })

  promise('an alert that failed waits for its next attempt', async () => {
    await alerts.add([draft('a')], NOW)
    await alerts.record(await first(), { kind: 'failed', error: 'down', nextAtMs: NOW + 7 }, NOW)
    expect([await due(NOW + 6), await due(NOW + 7)]).toEqual([[], ['msg_a']])
    expect((await alerts.due('ops', NOW + 7, 1))[0]).toMatchObject({ attempts: 1, createdAtMs: NOW, message: '{}' })
    expect(await alerts.nextDueAtMs(['ops'])).toBe(NOW + 7)
  })

  promise('a key that is released can be added again', async () => {
    await alerts.add([draft('a')], NOW)
    await alerts.release('a')
    expect(await alerts.add([draft('a')], NOW)).toMatchObject({ added: 1 })
    expect(await due()).toHaveLength(2)
  })

  promise('alerts of a receiver that is removed are dropped', async () => {
    await alerts.add([draft('a'), draft('b', { receiver: 'team' })], NOW)
    await alerts.drop('ops')
    expect([await due(), await due(NOW, 'team')]).toEqual([[], ['msg_b']])
  })

  promise('deliveries are counted by receiver', async () => {
    await alerts.add([draft('a'), draft('b'), draft('c')], NOW)
    await alerts.record(await first(), { kind: 'delivered' }, NOW + 1)
    await alerts.record(await first(), { kind: 'failed', error: 'older', nextAtMs: NOW }, NOW + 2)
    await alerts.record(await first(), { kind: 'failed', error: 'newer', nextAtMs: NOW }, NOW + 3)
    expect(await alerts.deliveries()).toEqual([
      { receiver: 'ops', pending: 2, lastSentAtMs: NOW + 1, lastFailedAtMs: NOW + 3, lastError: 'newer' },
    ])
  })

  promise('alerts that are done are deleted once their window has ended', async () => {
    await alerts.add([draft('a'), draft('b')], NOW)
    await alerts.record(await first(), { kind: 'delivered' }, NOW)
    await alerts.tidy(NOW + 99)
    expect((await alerts.deliveries())[0]?.lastSentAtMs).toBe(NOW)
    await alerts.tidy(NOW + 100)
    expect(await alerts.deliveries()).toMatchObject([{ pending: 1, lastSentAtMs: null }])
  })

  promise('alerts survive a restart', async () => {
    if (!reopen) return
    await alerts.add([draft('a'), draft('b')], NOW)
    await alerts.record(await first(), { kind: 'delivered' }, NOW)
    await store.close(at())
    store = await reopen(at())
    alerts = store.alerts
    expect(await alerts.add([draft('a'), draft('b')], NOW)).toMatchObject({ added: 0 })
    expect(await due()).toEqual(['msg_b'])
  })
}
