// Telemetry: every listener hears every event, and none can harm a call or another listener.

import { describe, expect, it } from 'vitest'
import type { LevelView } from '../../src/core/meter.ts'
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

describe('the refusal counter', () => {
  function counting() {
    const telemetry = new Telemetry()
    const batches: (readonly unknown[])[] = []
    const ledger = { isBroken: false }
    const append = async (added: readonly unknown[]) => {
      if (ledger.isBroken) throw new StoreUnavailable('disk full')
      batches.push(added)
    }
    const turns: (() => void)[] = []
    const counter = new RefusalCounter({ append }, telemetry, (callback) => turns.push(callback))
    const witness = new Witness()
    telemetry.listen(counter)
    telemetry.listen(witness)
    const endTurn = () => {
      for (const callback of turns.splice(0)) callback()
    }
    return { telemetry, batches, ledger, counter, witness, endTurn }
  }
  const isOf = { key: 'alice', atMs: at().wallMs, simulated: false, isShadow: false }

  it('counts refused and rejected calls in the ledger, those of a turn together', async () => {
    const { telemetry, batches, endTurn } = counting()
    for (const event of [refused(), rejected(), settled(), refused(), refused()]) telemetry.emit(event)
    expect(batches).toEqual([])
    endTurn()
    expect(batches).toEqual([
      [
        { kind: 'refusals', reason: 'requests_per_minute', count: 3, refused: isOf },
        { kind: 'refusals', reason: 'unauthenticated', count: 1 },
      ],
    ])
    telemetry.emit(refused())
    endTurn()
    expect(batches[1]).toEqual([{ kind: 'refusals', reason: 'requests_per_minute', count: 1, refused: isOf }])
  })

  it('tells keys, quarter hours and simulated calls apart', () => {
    const { telemetry, batches, endTurn } = counting()
    const { caller } = refused()
    telemetry.emit(refused())
    telemetry.emit({ ...refused(), caller: { ...caller, key: 'bob' } })
    telemetry.emit({ ...refused(), simulated: true })
    telemetry.emit({ ...refused(), at: { ...at(), wallMs: at().wallMs + 900_000 } })
    endTurn()
    expect(batches[0]).toMatchObject([
      { count: 1, refused: isOf },
      { count: 1, refused: { key: 'bob' } },
      { count: 1, refused: { simulated: true } },
      { count: 1, refused: { atMs: at().wallMs + 900_000 } },
    ])
  })

  it('counts a limit that is not enforced once for each call that does not fit it', () => {
    const { telemetry, batches, endTurn } = counting()
    const level = (name: string, settled: bigint, enforced = false) =>
      ({ meter: { name, refill: 'window' }, settled, reserved: 0n, capacity: 10n, enforced }) as LevelView
    const levels = [
      level('tokens_per_day', 11n),
      level('tokens_per_day', 12n),
      level('daily_spending_limit', 10n),
      level('requests_per_day', 99n, true),
    ]
    const facts = factsOf('call', { caller: { key: 'alice' } })
    telemetry.emit({ kind: 'admitted', at: at(), facts, levels, unenforced: ['tokens_per_day', 'tokens_per_day'] })
    telemetry.emit({ kind: 'admitted', at: at(), facts, levels, unenforced: [] })
    endTurn()
    expect(batches).toEqual([
      [{ kind: 'refusals', reason: 'tokens_per_day', count: 1, refused: { ...isOf, isShadow: true } }],
    ])
  })

  it('keeps few counts in memory, and hands the last over when the gateway closes', async () => {
    const { telemetry, batches, counter, endTurn } = counting()
    const { caller } = refused()
    for (let index = 0; index < 2_500; index++)
      telemetry.emit({ ...refused(), caller: { ...caller, key: `key-${index}` } })
    expect(batches.map((batch) => batch.length)).toEqual([1_000, 1_000])
    await counter.flush()
    expect(batches.map((batch) => batch.length)).toEqual([1_000, 1_000, 500])
    endTurn()
    expect(batches).toHaveLength(3)
  })

  it('notifies of a ledger that cannot be written', async () => {
    const { telemetry, ledger, counter, witness } = counting()
    ledger.isBroken = true
    telemetry.emit(refused())
    await counter.flush()
    expect(witness.notices).toMatchObject([{ code: 'store_write_failed', level: 'error' }])
  })
})

it('the newest thousand refusals are found by the id of their call', () => {
  const history = new RefusalHistory()
  for (let index = 0; index < 1_001; index++) history.hear({ ...refused(`call-${index}`), at: at(index) })
  history.hear(settled({ callId: 'settled' }))
  expect([history.find('call-0'), history.find('settled')]).toEqual([undefined, undefined])
  expect(history.find('call-1')).toMatchObject({ at: at(1), refusal: { meter: { name: 'requests_per_minute' } } })
})
