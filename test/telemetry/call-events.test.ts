// Telemetry: every listener hears every event, and none can harm a call or another listener.

import { expect, it } from 'vitest'
import { StoreUnavailable } from '../../src/stores/store.ts'
import { type CallEvent, type CallListener, type Notice, Telemetry } from '../../src/telemetry/call-events.ts'
import { PriceWatch } from '../../src/telemetry/price-watch.ts'
import { QuoteWatch } from '../../src/telemetry/quote-watch.ts'
import { RefusalCounter } from '../../src/telemetry/refusal-counter.ts'
import { RefusalHistory } from '../../src/telemetry/refusal-history.ts'
import { at, factsOf } from '../stores/calls.ts'
import { refused, rejected, settled } from './events.ts'

/** A listener that keeps what it hears. */
class Witness implements CallListener {
  readonly name: string
  readonly events: CallEvent[] = []
  readonly notices: Notice[] = []

  constructor(name = 'witness') {
    this.name = name
  }

  hear(event: CallEvent): void {
    this.events.push(event)
  }

  notice(notice: Notice): void {
    this.notices.push(notice)
  }
}

const NOTICE: Notice = { code: 'price_unknown', level: 'warn', message: 'The price of m is not known.' }

it('listeners hear events and notices in the order in which they were added', () => {
  const telemetry = new Telemetry()
  const heard: string[] = []
  for (const name of ['first', 'second'])
    telemetry.listen({
      name,
      hear: ({ kind }) => heard.push(`${name} ${kind}`),
      notice: ({ code }) => heard.push(`${name} ${code}`),
    })
  telemetry.emit(settled())
  telemetry.notify(NOTICE)
  expect(heard).toEqual(['first settled', 'second settled', 'first price_unknown', 'second price_unknown'])
})

it('a listener that throws is counted by its name, and the others hear all the same', () => {
  const telemetry = new Telemetry()
  const fail = () => {
    throw new Error('broken')
  }
  telemetry.listen({ name: 'broken', hear: fail, notice: fail })
  const witness = new Witness()
  telemetry.listen(witness)
  telemetry.emit(settled())
  telemetry.emit(refused())
  telemetry.notify(NOTICE)
  expect([witness.events.length, witness.notices.length]).toEqual([2, 1])
  expect([...telemetry.failures]).toEqual([['broken', 3]])
})

it('a listener that was removed hears no more', () => {
  const telemetry = new Telemetry()
  const [gone, stays] = [new Witness('gone'), new Witness('stays')]
  const remove = telemetry.listen(gone)
  telemetry.listen(stays)
  telemetry.emit(settled())
  remove()
  remove()
  telemetry.emit(settled())
  expect([gone.events.length, stays.events.length]).toEqual([1, 2])
})

it('a call that cost more than was reserved is an event of its own; one without a known price is not', () => {
  const telemetry = new Telemetry()
  const watch = new QuoteWatch(telemetry)
  const witness = new Witness()
  telemetry.listen(watch)
  telemetry.listen(witness)
  const cost = { totalNanoUsd: 1_001n, inputNanoUsd: 0n, outputNanoUsd: 1_001n }
  telemetry.emit(settled({ reservedCostNanoUsd: 1_001n }, { cost }))
  telemetry.emit(settled({ reservedCostNanoUsd: 1_000n, costKnown: false }, { cost }))
  telemetry.emit(settled({ reservedCostNanoUsd: 1_000n, callId: 'over' }, { cost }))
  expect(witness.events.filter(({ kind }) => kind === 'quote_exceeded')).toMatchObject([
    { facts: { callId: 'over' }, reason: 'price' },
  ])
  expect(watch.overruns.models()).toMatchObject([{ model: 'gpt-4o', percent: 101 }])
})

it('a model without a known price is a notice, once', () => {
  const telemetry = new Telemetry()
  const witness = new Witness()
  telemetry.listen(new PriceWatch(telemetry))
  telemetry.listen(witness)
  for (const [model, costKnown] of [
    ['known', true],
    ['unknown', false],
    ['unknown', false],
    ['other', false],
  ] as const)
    telemetry.emit({
      kind: 'admitted',
      at: at(),
      facts: factsOf('call', { model, costKnown }),
      levels: [],
      unenforced: [],
    })
  expect(witness.notices.map(({ code, details }) => [code, details?.model])).toEqual([
    ['price_unknown', 'unknown'],
    ['price_unknown', 'other'],
  ])
})

it('refused and rejected calls are counted in the ledger, and a ledger that cannot be written is a notice', async () => {
  const telemetry = new Telemetry()
  const records: unknown[] = []
  let isBroken = false
  const append = async (added: readonly unknown[]) => {
    if (isBroken) throw new StoreUnavailable('disk full')
    records.push(...added)
  }
  const witness = new Witness()
  telemetry.listen(new RefusalCounter({ append }, telemetry))
  telemetry.listen(witness)
  for (const event of [refused(), rejected(), settled()]) telemetry.emit(event)
  isBroken = true
  telemetry.emit(refused())
  await new Promise((resolve) => setImmediate(resolve))
  expect(records).toEqual([
    { kind: 'refusals', reason: 'requests_per_minute', count: 1 },
    { kind: 'refusals', reason: 'unauthenticated', count: 1 },
  ])
  expect(witness.notices).toMatchObject([{ code: 'store_write_failed', level: 'error' }])
})

it('the newest thousand refusals are found by the id of their call', () => {
  const history = new RefusalHistory()
  for (let index = 0; index < 1_001; index++) history.hear({ ...refused(`call-${index}`), at: at(index) })
  history.hear(settled({ callId: 'settled' }))
  expect([history.find('call-0'), history.find('settled')]).toEqual([undefined, undefined])
  expect(history.find('call-1')).toMatchObject({ at: at(1), refusal: { meter: { name: 'requests_per_minute' } } })
})
