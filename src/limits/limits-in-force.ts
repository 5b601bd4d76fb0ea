// Limits in force: the plan that calls are checked by, and how another plan takes over without forgetting what was spent.

import { windowAt } from '../core/calendar.ts'
import { type Limit, LimitPlan, meterOf, SIMULATED_REALM } from '../core/limits.ts'
import type { Instant } from '../core/meter.ts'
import { ALIASES_DATE } from '../core/model-aliases.ts'
import { modelNameOf } from '../core/model-name.ts'
import type { LevelSeed, Store } from '../stores/store.ts'

/** Sums of the ledger, by subject. */
type Sums = ReadonlyMap<string, bigint>
type SumReader = (limit: Limit, realm: string) => Promise<Sums>

const NO_SUMS: Sums = new Map()

/** Windows of a plan, by the name that their levels' keys depend on. */
type Windows = ReadonlyMap<string, Limit>

/**
 * The limits that calls are checked by. A window of a new limit starts from the sum of the ledger. A document `limit-seed` marks
 * that this was done, so that a restart does not do it again.
 */
export class LimitsInForce {
  readonly #store: Store
  #plan: LimitPlan
  #changing: Promise<void> | undefined
  /** Names of the windows whose levels are complete. Undefined until the first change: then the registry's marks say so. */
  #counted: ReadonlySet<string> | undefined

  constructor(store: Store, timeZone: string) {
    this.#store = store
    this.#plan = new LimitPlan([], timeZone)
  }

  get plan(): LimitPlan {
    return this.#plan
  }

  /** While limits change, calls wait for this promise: what is spent while a limit is new must count. It never rejects. */
  get changing(): Promise<void> | undefined {
    return this.#changing
  }

  /**
   * Prepares other limits: windows of limits that are new start from the ledger's sum. Returns the function that puts them in
   * force and cannot fail. Calls wait from now until it is called, so call it at once.
   *
   * Rejects with the store's or the registry's error. Then the limits before stay in force, and no mark of the new ones is left.
   * One change at a time.
   */
  async prepare(limits: readonly Limit[], now: Instant): Promise<() => void> {
    const { promise, resolve } = Promise.withResolvers<void>()
    this.#changing = promise
    const endWait = () => {
      this.#changing = undefined
      resolve()
    }
    try {
      const plan = new LimitPlan(limits, this.#plan.timeZone)
      const windows = windowsOf(plan)
      await this.#seedNew(plan, windows, now)
      return () => {
        this.#plan = plan
        this.#counted = new Set(windows.keys())
        endWait()
      }
    } catch (error) {
      endWait()
      throw error
    }
  }

  async #seedNew(plan: LimitPlan, windows: Windows, now: Instant): Promise<void> {
    const marked = new Set((await this.#store.registry.read('limit-seed')).map((document) => document.id))
    const counted = this.#counted ?? marked
    const seeds: LevelSeed[] = []
    const sums = this.#sumReader(plan, now)
    for (const [name, limit] of windows)
      if (!counted.has(name)) seeds.push(...(await this.#seedsOf(limit, plan, now, sums, counted)))
    // If the limits do not come into force after all, these levels do no harm: the next change seeds them again.
    if (seeds.length > 0) await this.#store.seed(seeds, now)
    await this.#writeMarks(windows, marked, now)
  }

  /** Marks the windows whose levels are complete, for the next start. If a mark cannot be written, removes those written before. */
  async #writeMarks(windows: Windows, marked: ReadonlySet<string>, now: Instant): Promise<void> {
    const write = (id: string, value: unknown) =>
      this.#store.registry.write(
        { kind: 'limit-seed', id, value },
        { actor: 'gateway', atMs: now.wallMs, audit: false },
      )
    const mark = { since: now.wallMs }
    const written: string[] = []
    try {
      for (const name of windows.keys()) {
        if (marked.has(name)) continue
        await write(name, mark)
        written.push(name)
      }
      for (const name of marked) if (!windows.has(name)) await write(name, null)
    } catch (error) {
      // A mark without its limit would keep the limit from being seeded later. A limit without its mark is seeded again.
      for (const name of written) await write(name, null).catch(() => {})
      throw error
    }
  }

  /** A subject that is counted already, by a limit of its own or by one on everybody, keeps its level. */
  async #seedsOf(limit: Limit, plan: LimitPlan, now: Instant, sums: SumReader, counted: ReadonlySet<string>) {
    const isCounted = (subject: string | undefined) => counted.has(nameOf({ ...limit, subject }, plan))
    const seeds: LevelSeed[] = []
    if (isCounted(undefined)) return seeds
    for (const realm of ['', SIMULATED_REALM]) {
      for (const [subject, settled] of await sums(limit, realm)) {
        if ((limit.subject ?? subject) !== subject || isCounted(subject)) continue
        seeds.push({ meter: meterOf(limit, subject, now.wallMs, plan.timeZone, realm), settled })
      }
    }
    return seeds
  }

  /** Reads the ledger's sums once for all limits of the same dimension, since a sum reads every entry of its window. */
  #sumReader(plan: LimitPlan, now: Instant): SumReader {
    const known = new Map<string, Promise<Sums>>()
    return ({ who, what, span }, realm) => {
      if (what === 'inFlight') return Promise.resolve(NO_SUMS)
      const name = `${realm}${who}/${what}/${span}`
      let sums = known.get(name)
      if (!sums) {
        const sinceMs = windowAt(span, plan.timeZone, now.wallMs).startsAtMs
        const read = this.#store.sums({ who, what, simulated: realm !== '', sinceMs })
        known.set(name, (sums = who === 'model' ? read.then(sumsOfModels) : read))
      }
      return sums
    }
  }
}

function windowsOf(plan: LimitPlan): Windows {
  const windows = plan.limits.filter((limit) => limit.refill === 'window')
  return new Map(windows.map((limit) => [nameOf(limit, plan), limit]))
}

/** What a level's key depends on, and how its subject is named. A limit with another amount is the same limit. */
function nameOf({ who, subject, what, span }: Limit, plan: LimitPlan): string {
  const kind = who === 'model' ? `model ${ALIASES_DATE}` : who
  return `${kind}${subject === undefined ? '' : `:${subject}`}/${what}/${span}/${plan.timeZone}`
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
