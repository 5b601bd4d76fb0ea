// Price upkeep: downloads prices once a day if PRICES_URL is set, keeps the newest file in the ledger, and warns of prices that are
// old, change or end. No call waits for it.

import type { Clock, Timer, Timers } from '../core/clock.ts'
import { isFree, isOperatorPrice } from '../core/prices.ts'
import { EditablePriceBook } from '../prices/price-book.ts'
import { downloadText } from '../prices/price-download.ts'
import { readPriceFile } from '../prices/price-file.ts'
import { digestOf, PriceList } from '../prices/price-list.ts'
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
/** A file may lack at most one in so many of the models whose prices are known. */
const MAX_LOST_SHARE = 10
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
    if (this.#parts.url !== '') await this.#download()
    if (this.#abort.signal.aborted) return
    for (const { code, message } of this.state.warnings) this.#parts.telemetry.notify({ code, level: 'warn', message })
    this.#timer = this.#parts.timers
      .setTimeout(() => {
        this.#running = this.#run()
      }, DAY_MS)
      .unref()
  }

  async #useStored(): Promise<void> {
    const [document] = await this.#parts.registry.read(DOCUMENT.kind, DOCUMENT.id)
    const { text, downloadedAtMs } = (document?.value ?? {}) as { text?: unknown; downloadedAtMs?: unknown }
    if (typeof text !== 'string' || typeof downloadedAtMs !== 'number') return
    try {
      this.#use(text)
      this.#downloadedAtMs = downloadedAtMs
    } catch (error) {
      this.#fail(error)
    }
  }

  async #download(): Promise<void> {
    const { url, clock, registry, download = downloadText } = this.#parts
    try {
      const text = await download(url, this.#abort.signal)
      this.#use(text)
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

  /**
   * Throws RangeError for a file that is not valid, or that would take prices away; what is in force stays. A file that is older than
   * what is in force is left out.
   */
  #use(text: string): void {
    const { prices } = this.#parts
    const list = new PriceList(readPriceFile(text), digestOf(text))
    if (list.date < prices.list.date || list.version === prices.list.version) return
    this.#check(list)
    prices.useList(list)
    this.#origin = 'downloaded'
  }

  #check(list: PriceList): void {
    const { prices, subjects, clock } = this.#parts
    const nowMs = clock.now().wallMs
    if (Date.parse(list.date) > nowMs + DAY_MS)
      throw new RangeError(`The price file is of ${list.date}, which is to come`)
    const { lost, count } = prices.list.lostIn(list)
    if (lost.length * MAX_LOST_SHARE > count)
      throw new RangeError(
        `The price file has no price for ${lost.length} of ${count} known models, such as ${lost[0]}`,
      )
    const next = new EditablePriceBook(list)
    for (const { provider, model } of subjects().models) {
      const { price } = prices.find(provider, model, nowMs)
      const isLost = price && !isOperatorPrice(price) && !isFree(price) && !hasPrice(next, provider, model, nowMs)
      if (isLost) throw new RangeError(`The price file has no price for ${provider}/${model}, which is configured`)
    }
  }

  #fail(error: unknown): void {
    const reason = error instanceof Error ? error.message : 'unknown'
    this.#downloadError = reason
    const message = `Prices could not be taken from PRICES_URL: ${reason}. Those of ${this.#parts.prices.list.date} stay in force.`
    this.#parts.telemetry.notify({ code: 'prices_not_downloaded', level: 'warn', message })
  }
}

function hasPrice(book: Pick<EditablePriceBook, 'find'>, provider: string, model: string, atMs: number): boolean {
  const { price } = book.find(provider, model, atMs)
  return price !== undefined && !isFree(price)
}
