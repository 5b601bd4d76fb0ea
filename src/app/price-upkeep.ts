// Price upkeep: downloads prices once a day if PRICES_URL is set, keeps the newest file in the ledger, and warns of prices that are
// old, change or end. No call waits for it.

import type { Clock, Timer, Timers } from '../core/clock.ts'
import { isFree, isOperatorPrice } from '../core/prices.ts'
import { EditablePriceBook } from '../prices/price-book.ts'
import { checkSuccessor } from '../prices/price-comparison.ts'
import { downloadText } from '../prices/price-download.ts'
import { readPriceFile } from '../prices/price-file.ts'
import { digestOf, PriceList, withoutRegion } from '../prices/price-list.ts'
import { type PriceWarning, priceWarnings, type WarningSubjects } from '../prices/price-warnings.ts'
import type { Registry } from '../stores/registry.ts'
import type { Telemetry } from '../telemetry/call-events.ts'

interface UpkeepParts {
  /** Empty: nothing is downloaded. */
  readonly url: string
  readonly clock: Clock
  readonly timers: Timers
  readonly telemetry: Pick<Telemetry, 'notify'>
  readonly registry: Pick<Registry, 'read' | 'write'>
  readonly prices: Pick<EditablePriceBook, 'find' | 'list' | 'useList'>
  /** Read anew for every check: a reload changes them. */
  readonly subjects: () => WarningSubjects
  readonly download?: (url: string, signal: AbortSignal) => Promise<string>
}

/** What is shown of prices. */
export interface PriceState {
  readonly version: string
  readonly date: string
  readonly origin: 'shipped' | 'downloaded'
  readonly warnings: readonly PriceWarning[]
  /** Epoch milliseconds of the last download that succeeded; null if there was none. */
  readonly downloadedAtMs: number | null
  /** Why the last download failed; null if it did not. */
  readonly downloadError: string | null
}

const DAY_MS = 86_400_000
const MAX_DOWNLOAD_MS = 120_000
/** If a download takes longer, the warnings of the prices in force do not wait for it. */
const MAX_WARNING_DELAY_MS = 10_000
const DOCUMENT = { kind: 'price-file', id: 'newest' } as const

/** Call `start` once, and `stop` when the gateway closes. */
export class PriceUpkeep {
  readonly #parts: UpkeepParts
  readonly #abort = new AbortController()
  #timer: Timer | undefined
  #origin: PriceState['origin'] = 'shipped'
  #downloadedAtMs: number | null = null
  #downloadError: string | null = null
  #running: Promise<void> = Promise.resolve()

  constructor(parts: UpkeepParts) {
    this.#parts = parts
  }

  /** Puts the stored file in force if it is newer than the shipped one. Then, in the background, downloads and warns. */
  async start(): Promise<void> {
    if (this.#parts.url !== '') await this.#useStored()
    this.#running = this.#run()
  }

  stop(): void {
    this.#abort.abort()
    this.#parts.timers.clearTimeout(this.#timer)
  }

  /** Resolves when the run that is under way is over. */
  idle(): Promise<void> {
    return this.#running
  }

  get state(): PriceState {
    const { prices, subjects, clock } = this.#parts
    const { version, date } = prices.list
    return {
      version,
      date,
      origin: this.#origin,
      warnings: priceWarnings(prices, subjects(), clock.now().wallMs),
      downloadedAtMs: this.#downloadedAtMs,
      downloadError: this.#downloadError,
    }
  }

  async #run(): Promise<void> {
    const { url, timers } = this.#parts
    const warned = new Set<string>()
    if (url !== '') {
      const slow = timers.setTimeout(() => this.#warn(warned), MAX_WARNING_DELAY_MS).unref()
      await this.#download()
      timers.clearTimeout(slow)
    }
    if (this.#abort.signal.aborted) return
    this.#warn(warned)
    this.#timer = timers
      .setTimeout(() => {
        this.#running = this.#run()
      }, DAY_MS)
      .unref()
  }

  /** @param warned messages that were given already */
  #warn(warned: Set<string>): void {
    if (this.#abort.signal.aborted) return
    for (const { code, message } of this.state.warnings) {
      if (warned.has(message)) continue
      warned.add(message)
      this.#parts.telemetry.notify({ code, level: 'warn', message })
    }
  }

  async #useStored(): Promise<void> {
    const [document] = await this.#parts.registry.read(DOCUMENT.kind, DOCUMENT.id)
    const { text, downloadedAtMs } = (document?.value ?? {}) as { text?: unknown; downloadedAtMs?: unknown }
    if (typeof text !== 'string' || typeof downloadedAtMs !== 'number') return
    try {
      const list = listOf(text)
      this.#downloadedAtMs = downloadedAtMs
      // A version of the gateway that came out since then can ship newer prices.
      if (list.date >= this.#parts.prices.list.date) await this.#use(list)
    } catch (error) {
      this.#fail(error)
    }
  }

  async #download(): Promise<void> {
    const { clock, registry, prices } = this.#parts
    try {
      const text = await this.#downloadInTime()
      const list = listOf(text)
      if (list.date < prices.list.date)
        throw new RangeError(`The price file is of ${list.date}, which is older than the prices in force`)
      await this.#use(list)
      if (this.#abort.signal.aborted) return
      const downloadedAtMs = clock.now().wallMs
      this.#downloadedAtMs = downloadedAtMs
      this.#downloadError = null
      await registry.write(
        { ...DOCUMENT, value: { text, downloadedAtMs } },
        { actor: 'gateway', atMs: downloadedAtMs, audit: false },
      )
    } catch (error) {
      if (!this.#abort.signal.aborted) this.#fail(error)
    }
  }

  /** Rejects if the whole file does not come within `MAX_DOWNLOAD_MS`, however fast its parts come. */
  async #downloadInTime(): Promise<string> {
    const { url, timers, download = downloadText } = this.#parts
    const late = new AbortController()
    const reason = new Error(`the download took longer than ${MAX_DOWNLOAD_MS / 1_000} seconds`)
    const deadline = timers.setTimeout(() => late.abort(reason), MAX_DOWNLOAD_MS).unref()
    try {
      return await download(url, AbortSignal.any([this.#abort.signal, late.signal]))
    } catch (error) {
      throw late.signal.aborted ? reason : error
    } finally {
      timers.clearTimeout(deadline)
    }
  }

  /** Rejects with RangeError for a list that would take prices away; what is in force stays. */
  async #use(list: PriceList): Promise<void> {
    const { prices } = this.#parts
    if (list.version === prices.list.version) return
    await this.#check(list)
    prices.useList(list)
    this.#origin = 'downloaded'
  }

  async #check(list: PriceList): Promise<void> {
    const { prices, subjects, clock } = this.#parts
    const nowMs = clock.now().wallMs
    if (Date.parse(list.date) > nowMs + DAY_MS)
      throw new RangeError(`The price file is of ${list.date}, which is to come`)
    const { providers, models } = subjects()
    await checkSuccessor(prices.list, list, providers, nowMs)
    const next = new EditablePriceBook(list)
    for (const { provider, model } of models) {
      const { price } = prices.find(provider, model, nowMs)
      const isLost = price && !isOperatorPrice(price) && !isFree(price) && !hasPrice(next, provider, model, nowMs)
      const name = `${withoutRegion(provider)}/${model}`
      if (isLost) throw new RangeError(`The price file has no price for ${name}, which is configured`)
    }
  }

  #fail(error: unknown): void {
    const reason = error instanceof Error ? error.message : 'unknown'
    this.#downloadError = reason
    const message = `Prices could not be taken from PRICES_URL: ${reason}. Those of ${this.#parts.prices.list.date} stay in force.`
    this.#parts.telemetry.notify({ code: 'prices_not_downloaded', level: 'warn', message })
  }
}

/** Throws RangeError for a file that is not valid. */
function listOf(text: string): PriceList {
  return new PriceList(readPriceFile(text), digestOf(text))
}

function hasPrice(book: Pick<EditablePriceBook, 'find'>, provider: string, model: string, atMs: number): boolean {
  const { price } = book.find(provider, model, atMs)
  return price !== undefined && !isFree(price)
}
