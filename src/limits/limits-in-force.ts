// Limits in force: the plan that calls are checked by, and how other limits take over without forgetting what was spent.

import { readScope, scopeName } from '../config/limits.ts'
import type { Clock } from '../core/clock.ts'
import type { KeyLimits } from '../core/key-limits.ts'
import { isInScope, type Limit, LimitPlan, type LimitSubjects, type Scope } from '../core/limits.ts'
import { NamedTurns } from '../core/named-turns.ts'
import { RecentMap } from '../core/recent-map.ts'
import type { WriteOrigin } from '../stores/registry.ts'
import type { Store } from '../stores/store.ts'
import { newKeyWindows } from './key-windows.ts'
import {
  EMPTY_DOCUMENT,
  type LimitDocument,
  limitDocumentOf,
  type ReadDocument,
  readStoredDocument,
} from './limit-document.ts'
import { type ConfiguredLimits, mergeLimits } from './merge-limits.ts'
import { changeMarks, readMarks, type Windows, windowName, windowsOf, writeMarks } from './seed-marks.ts'
import { type NewWindow, seedWindows } from './window-seeds.ts'
import { followZone } from './zone-change.ts'

const SET_BY = 'at /admin/limits'
/** Keys whose newest limits are kept for calls that were identified before the limits changed. */
const MAX_CHANGED_KEYS = 10_000
const NO_LIMITS: ConfiguredLimits = { settings: [], file: [] }

interface LimitParts {
  readonly store: Store
  readonly clock: Clock
  /** The IANA zone in which calendar windows turn. */
  readonly timeZone: string
  /** False without cost tracking: then no limit counts cost. */
  readonly countsCost: boolean
}

/** What the registry says of one scope. */
interface StoredLimits {
  readonly document: LimitDocument
  /** Read once: that takes longer than all else of a reload. */
  readonly read: ReadDocument
}

/**
 * The limits that calls are checked by: those of settings, file and registry. A window of a new limit starts from the sum of the
 * ledger. Changes happen one after the other: a reload and a change of the registry never lose one another.
 */
export class LimitsInForce {
  readonly #parts: LimitParts
  #plan: LimitPlan
  #configured = NO_LIMITS
  /** By the name of the scope. Undefined until the first reload reads them. */
  #stored: Map<string, StoredLimits> | undefined
  /** The scope whose limits change; undefined for all scopes. */
  #change: { readonly scope: Scope | undefined; readonly over: Promise<void> } | undefined
  #last: Promise<unknown> = Promise.resolve()
  /** Names of the windows whose levels are complete. Undefined until the first reload: then the registry's marks say so. */
  #counted: Set<string> | undefined
  /** Whoever reads a key's record, changes it and writes it does so in a turn of the key, so that changes do not get in each other's way. */
  readonly keyTurns = new NamedTurns()
  #changed: () => void = () => {}
  readonly #newestOfKey = new RecentMap<KeyLimits>(MAX_CHANGED_KEYS)

  constructor(parts: LimitParts) {
    this.#parts = parts
    this.#plan = new LimitPlan([], parts.timeZone)
  }

  get plan(): LimitPlan {
    return this.#plan
  }

  get countsCost(): boolean {
    return this.#parts.countsCost
  }

  /** What settings and file say. */
  get configured(): ConfiguredLimits {
    return this.#configured
  }

  /** Calls back after each change of what the registry says. */
  onChange(changed: () => void): void {
    this.#changed = changed
  }

  /** What the registry says of a scope. */
  documentOf(scope: Scope): LimitDocument | undefined {
    return this.#stored?.get(scopeName(scope))?.document
  }

  /** While new limits of a call start from the ledger, the call waits for this promise: what it spends must count. It never rejects. */
  changeOf(call: LimitSubjects): Promise<void> | undefined {
    const change = this.#change
    return change && (!change.scope || isInScope(change.scope, call)) ? change.over : undefined
  }

  /**
   * Prepares other limits of settings and file: windows of limits that are new start from the ledger's sum. Returns the function that
   * puts them in force and cannot fail. Calls and other changes wait from now until it is called, so call it at once.
   *
   * Rejects with the store's or the registry's error. Then the limits before stay in force, and no mark of the new ones is left.
   */
  async prepare(configured: ConfiguredLimits): Promise<() => void> {
    const turn = Promise.withResolvers<void>()
    const before = this.#last
    this.#last = turn.promise
    await before
    const endWait = this.#beginChange(undefined)
    const end = () => {
      endWait()
      turn.resolve()
    }
    try {
      if (!this.#stored) await followZone(this.#parts.store, this.#parts.timeZone, this.#parts.clock.now())
      const stored = this.#stored ?? (await this.#readStored())
      const read = [...stored.values()].map((each) => each.read)
      const limits = mergeLimits({ ...configured, registry: read.flatMap((each) => each.limits) })
      const plan = new LimitPlan(
        limits,
        this.#parts.timeZone,
        read.flatMap(({ raises }) => raises),
      )
      const windows = windowsOf(plan.limits, plan.timeZone)
      await this.#seedNew(windows)
      return () => {
        this.#plan = plan
        this.#configured = configured
        this.#stored = stored
        this.#counted = new Set(windows.keys())
        end()
      }
    } catch (error) {
      end()
      throw error
    }
  }

  /**
   * Changes what the registry says of one scope, from the next call on. Only calls of the scope wait, and only if the ledger has to be
   * read for a new window. Rejects with what `edit` throws, and with the store's or the registry's error: then nothing has changed.
   * @param edit makes the new document of the one before; null deletes it
   */
  async change(
    scope: Scope,
    edit: (before: LimitDocument | undefined) => LimitDocument | null,
    origin: WriteOrigin,
  ): Promise<void> {
    await this.#inTurn(async () => {
      const stored = this.#stored ?? (this.#stored = await this.#readStored())
      const name = scopeName(scope)
      const document = edit(stored.get(name)?.document)
      const read = this.#read(scope, document ?? EMPTY_DOCUMENT)
      const after = this.#merged(scope, read)
      const windows = this.#newWindows(scope, after.limits)
      const ownBefore = ownWindows(scope, this.#plan.limitsOf(scope), this.#parts.timeZone)
      await this.#whileWaiting(scope, windows, async () => {
        await this.#parts.store.registry.write({ kind: 'limit', id: name, value: document }, origin)
        if (document) stored.set(name, { document, read })
        else stored.delete(name)
        this.#plan.replace(scope, after.limits, after.raises)
      })
      this.#changed()
      await this.#markChange(ownBefore, ownWindows(scope, after.limits, this.#parts.timeZone))
    })
  }

  /**
   * Changes the limits in a key's record. Runs `write`, which puts the record in force; before that, windows that are new for the key
   * start from the ledger's sum of this key. Calls of this key wait only if the ledger has to be read: not for another amount, nor for
   * a key that is new. A call that was identified before the change is admitted by the new limits if it is admitted after.
   *
   * Rejects with what `write` rejects with, and with StoreUnavailable: then the limits before stay in force.
   * @param before the limits of the record that calls hold now
   */
  changeKey<Result>(id: string, before: KeyLimits, after: KeyLimits, write: () => Promise<Result>): Promise<Result> {
    return this.#inTurn(async () => {
      const windows = newKeyWindows(id, before, after, this.#plan)
      return this.#whileWaiting({ who: 'key', subject: id }, windows, async () => {
        const inUse = this.#newestOfKey.get(id)
        const result = await write()
        // Whoever watches the registry may use the record's limits already.
        if (this.#newestOfKey.get(id) === inUse) this.useKeyLimits(id, after)
        before.replaceBy(this.#newestOfKey.get(id) ?? after)
        return result
      })
    })
  }

  /**
   * Call it with the limits of every record that calls are identified with from now on. Calls that hold an earlier record of the key
   * are admitted by these limits.
   */
  useKeyLimits(id: string, limits: KeyLimits): void {
    this.#newestOfKey.get(id)?.replaceBy(limits)
    this.#newestOfKey.set(id, limits)
  }

  #inTurn<Result>(change: () => Promise<Result>): Promise<Result> {
    const result = this.#last.then(change)
    this.#last = result.catch(() => {})
    return result
  }

  /** Starts new windows and then makes the change. Calls of the scope wait meanwhile, if there are any. */
  async #whileWaiting<Result>(
    scope: Scope,
    windows: readonly NewWindow[],
    change: () => Promise<Result>,
  ): Promise<Result> {
    if (windows.length === 0) return change()
    const { store, clock, timeZone } = this.#parts
    const endWait = this.#beginChange(scope)
    try {
      await seedWindows(store, windows, timeZone, clock.now())
      return await change()
    } finally {
      endWait()
    }
  }

  #beginChange(scope: Scope | undefined): () => void {
    const { promise, resolve } = Promise.withResolvers<void>()
    this.#change = { scope, over: promise }
    return () => {
      this.#change = undefined
      resolve()
    }
  }

  async #readStored(): Promise<Map<string, StoredLimits>> {
    const stored = new Map<string, StoredLimits>()
    for (const { id, value } of await this.#parts.store.registry.read('limit')) {
      const named = readScope(id)
      if ('mistake' in named) throw new Error(`The limits of ${id} cannot be read: the name ${named.mistake}`)
      const document = limitDocumentOf(value)
      stored.set(id, { document, read: this.#read(named.scope, document) })
    }
    return stored
  }

  #read(scope: Scope, document: LimitDocument): ReadDocument {
    const read = readStoredDocument(scope, document, SET_BY)
    return this.#parts.countsCost ? read : withoutCost(read)
  }

  /** The limits and raises of one scope, with those of settings and file. */
  #merged(scope: Scope, { limits, raises }: ReadDocument): ReadDocument {
    const isOfScope = ({ who, subject }: Limit) => who === scope.who && subject === scope.subject
    const { settings, file } = this.#configured
    return {
      limits: mergeLimits({ settings: settings.filter(isOfScope), file: file.filter(isOfScope), registry: limits }),
      raises,
    }
  }

  async #seedNew(windows: Windows): Promise<void> {
    const { store, clock, timeZone } = this.#parts
    const now = clock.now()
    const marked = await readMarks(store.registry)
    const counted = this.#counted ?? marked
    const isCounted = (limit: Limit, subject: string | undefined) =>
      counted.has(windowName({ ...limit, subject }, timeZone))
    const added = [...windows].filter(([name, limit]) => !counted.has(name) && !isCounted(limit, undefined))
    const newWindows = added.map(([, limit]) => ({ limit, isCounted: (subject: string) => isCounted(limit, subject) }))
    await seedWindows(store, newWindows, timeZone, now)
    await writeMarks(store.registry, windows, marked, now)
  }

  /** The windows that one change adds for its subjects: those that their calls are not charged with yet. */
  #newWindows(scope: Scope, after: readonly Limit[]): NewWindow[] {
    const { who, subject } = scope
    const plan = this.#plan
    // A limit on a dated name is charged beside that on each model, and not in its place.
    const isAdditional = who === 'model' && subject !== undefined
    const before = plan.limitsOf(scope).filter((limit) => !isAdditional || limit.subject === subject)
    const others = subject === undefined || isAdditional ? [] : plan.limitsOf({ who, subject: undefined })
    const inherited = others.filter((limit) => !after.some((own) => isSameLimit(own, limit)))
    const isWindow = ({ refill }: Limit) => refill === 'window'
    return [...after, ...inherited]
      .filter((limit) => isWindow(limit) && !before.some((known) => isWindow(known) && isSameLimit(known, limit)))
      .map((limit) => ({
        limit: { ...limit, subject },
        isCounted: (counted) => subject === undefined && plan.hasOwnWindow({ ...limit, subject: counted }),
      }))
  }

  /** The change is in force already. If the marks cannot be written, the next start seeds the windows again, which does no harm. */
  async #markChange(before: readonly string[], after: readonly string[]): Promise<void> {
    const { store, clock } = this.#parts
    const added = after.filter((name) => !before.includes(name))
    const removed = before.filter((name) => !after.includes(name))
    for (const name of added) this.#counted?.add(name)
    for (const name of removed) this.#counted?.delete(name)
    await changeMarks(store.registry, added, removed, clock.now()).catch(() => {})
  }
}

/** The windows of a scope's own limits, by name. */
function ownWindows({ who, subject }: Scope, limits: readonly Limit[], timeZone: string): readonly string[] {
  const own = limits.filter((limit) => limit.who === who && limit.subject === subject)
  return [...windowsOf(own, timeZone).keys()]
}

function isSameLimit(a: Limit, b: Limit): boolean {
  return a.what === b.what && a.span === b.span
}

function withoutCost({ limits, raises }: ReadDocument): ReadDocument {
  return {
    limits: limits.filter(({ what }) => what !== 'cost'),
    raises: raises.filter(({ what }) => what !== 'cost'),
  }
}
