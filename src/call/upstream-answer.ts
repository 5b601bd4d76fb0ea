// Arrival: what has come of one attempt's answer so far.

import type { UpstreamLimits } from '../core/ledger-entry.ts'
import { decompressBody, isEncoded, StreamDecoder } from '../wire/content-encoding.ts'
import type { HeaderList, Tap } from '../wire/dialect.ts'
import { findHeader } from '../wire/headers.ts'
import { readRefusalLimits, readUpstreamLimits } from '../wire/upstream-limits.ts'

export class UpstreamAnswer {
  /** Monotonic milliseconds: when it was sent. */
  readonly sentAtMs: number
  /** The provider may have read the request. */
  requestSent = false
  /** Something was used, whatever its status says. */
  isBillable = false
  /** It stands in the entry's attempts. */
  isRecorded = false
  status: number | null = null
  headers: HeaderList = []
  limits: UpstreamLimits | null = null
  firstByteAtMs: number | null = null
  tap: Tap | undefined
  decoder: StreamDecoder | undefined
  #encoding: string | undefined
  #collected: Buffer[] = []
  #collectedBytes = 0

  constructor(sentAtMs: number) {
    this.sentAtMs = sentAtMs
  }

  head(status: number, headers: HeaderList, wallMs: number): void {
    this.status = status
    this.headers = headers
    this.limits = readUpstreamLimits(status, headers, wallMs)
    this.#encoding = findHeader(headers, 'content-encoding')
  }

  get isEncoded(): boolean {
    return isEncoded(this.#encoding)
  }

  get contentType(): string {
    return findHeader(this.headers, 'content-type') ?? ''
  }

  /** Reads the answer with this tap, decoding a stream on the way. */
  readWith(tap: Tap): void {
    this.tap = tap
    if (!tap.isDocument && this.isEncoded)
      this.decoder = new StreamDecoder(this.#encoding ?? '', (plain) => tap.push(plain))
  }

  /** Keeps a piece. Returns how many bytes are kept then. */
  collect(chunk: Buffer): number {
    this.#collected.push(chunk)
    return (this.#collectedBytes += chunk.length)
  }

  /** All that was kept, in one. */
  takeBody(): Buffer {
    const [first] = this.#collected
    const body = this.#collected.length === 1 && first ? first : Buffer.concat(this.#collected)
    this.#collected = []
    return body
  }

  /** A body without its encoding; undefined where it cannot be read. */
  async decodeBody(body: Buffer, mostBytes: number): Promise<Buffer | undefined> {
    return this.isEncoded ? decompressBody(body, this.#encoding ?? '', mostBytes).catch(() => undefined) : body
  }

  /** Of a refusal: when to come back is often said in words alone. */
  readRefusal(plain: Buffer, wallMs: number): void {
    this.limits = readRefusalLimits(this.headers, plain, wallMs)
  }
}
