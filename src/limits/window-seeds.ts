// Window seeds: starts windows of new limits from the sums of the ledger. It knows no configuration.

import { windowAt } from '../core/calendar.ts'
import { type Limit, meterOf, SIMULATED_REALM } from '../core/limits.ts'
import type { Instant } from '../core/meter.ts'
import { windowZone } from '../core/metered-limit.ts'
import { modelNameOf } from '../core/model-name.ts'
import type { LevelSeed, Store } from '../stores/store.ts'

/** Sums of the ledger, by subject. */
type Sums = ReadonlyMap<string, bigint>

const NO_SUMS: Sums = new Map()
const REALMS = ['', SIMULATED_REALM]
/** More sums of single subjects cost more than one sum of all. */
const MAX_SINGLE_SUMS = 8

/** Windows to start: those of a limit, on all of its subjects or some. */
export interface NewWindow {
  readonly limit: Limit
  /** The zone of the window; undefined for the gateway's. */
  readonly timeZone?: string | undefined
  /** Whether the level of a subject is complete already. */
  isCounted(subject: string): boolean
}

/** Reads the sums of new windows and starts the windows from them. Rejects with StoreUnavailable. */
export async function seedWindows(
  store: Pick<Store, 'sums' | 'seed'>,
  windows: readonly NewWindow[],
  gatewayZone: string,
  now: Instant,
): Promise<void> {
  const sums = sumReader(store, windows.length <= MAX_SINGLE_SUMS, now)
  const seeds: LevelSeed[] = []
  for (const { limit, timeZone, isCounted } of windows) {
    const zone = windowZone(timeZone, gatewayZone)
    for (const realm of REALMS) {
      for (const [subject, settled] of await sums(limit, zone.timeZone, realm)) {
        if ((limit.subject ?? subject) !== subject || isCounted(subject)) continue
        seeds.push({ meter: meterOf(limit, subject, now.wallMs, zone.timeZone, realm, zone.mark), settled })
      }
    }
  }
  // If the limits do not come into force after all, these levels do no harm: the next change seeds them again.
  if (seeds.length > 0) await store.seed(seeds, now)
}

/** Reads each sum once, since a sum reads every entry of its window. */
function sumReader(store: Pick<Store, 'sums'>, readsSingle: boolean, now: Instant) {
  const known = new Map<string, Promise<Sums>>()
  return ({ who, what, span, subject }: Limit, timeZone: string, realm: string): Promise<Sums> => {
    if (what === 'inFlight') return Promise.resolve(NO_SUMS)
    const sinceMs = windowAt(span, timeZone, now.wallMs).startsAtMs
    // The ledger has models as callers spelled them.
    const narrowed = subject === undefined || who === 'model' || !readsSingle ? {} : { subject }
    const name = JSON.stringify([realm, who, what, sinceMs, narrowed])
    let sums = known.get(name)
    if (!sums) {
      const read = store.sums({ who, what, simulated: realm !== '', sinceMs, ...narrowed })
      known.set(name, (sums = who === 'model' ? read.then(sumsOfModels) : read))
    }
    return sums
  }
}

/** The sums of models, and those of dated names by themselves, from sums of names as callers spelled them. */
export function sumsOfModels(sums: Sums): Sums {
  const summed = new Map<string, bigint>()
  for (const [written, settled] of sums) {
    const slash = written.indexOf('/')
    const provider = written.slice(0, slash)
    const { canonical, family } = modelNameOf(provider, written.slice(slash + 1))
    for (const name of new Set([canonical, family])) {
      const subject = `${provider}/${name}`
      summed.set(subject, (summed.get(subject) ?? 0n) + settled)
    }
  }
  return summed
}
