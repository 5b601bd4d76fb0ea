// What every store promises, as one suite that runs against each of them.

import { describe } from 'vitest'
import type { Instant } from '../../../src/core/meter.ts'
import type { Store } from '../../../src/stores/store.ts'
import { alertsSuite } from './alerts.ts'
import { amendmentsSuite } from './amendments.ts'
import { endingsSuite } from './endings.ts'
import { ledgerSuite } from './ledger.ts'
import { metersSuite } from './meters.ts'
import { promisesSuite } from './promises.ts'
import { registrySuite } from './registry.ts'
import { usageSuite } from './usage.ts'

export interface OpenedStore {
  readonly store: Store
  /** Opens the same store again after it was closed. Undefined if it survives nothing. */
  readonly reopen?: (now: Instant) => Promise<Store>
  /** Makes every write fail until the function it returns is called. Undefined if the store writes nothing. */
  readonly failWrites?: () => () => void
}

export interface StoreFactory {
  readonly name: string
  readonly open: () => Promise<OpenedStore>
}

export function conformance(kind: StoreFactory): void {
  describe(`${kind.name}: meters`, () => metersSuite(kind))
  describe(`${kind.name}: amendments`, () => amendmentsSuite(kind))
  describe(`${kind.name}: endings`, () => endingsSuite(kind))
  describe(`${kind.name}: ledger`, () => ledgerSuite(kind))
  describe(`${kind.name}: usage`, () => usageSuite(kind))
  describe(`${kind.name}: registry`, () => registrySuite(kind))
  describe(`${kind.name}: alerts`, () => alertsSuite(kind))
  describe(`${kind.name}: contract`, promisesSuite)
}
