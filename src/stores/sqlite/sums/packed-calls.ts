// Packed calls: what reports need of settled calls, some twenty bytes each. A blob holds calls of one subject and one day (UTC).

import type { Certainty, Ending } from '../../../core/ledger-entry.ts'

/** A settled call, or an adjustment. Numbers that are ids are names of `Names`; 0 is no name. Mutable: a reader reuses one. */
export interface PackedCall {
  seq: number
  /** Quarter hours since the epoch. */
  quarter: number
  ending: Ending
  certainty: Certainty
  target: number
  holder: number
  user: number
  agent: number
  operation: number
  inputTokens: number
  cacheReadTokens: number
  cacheWriteTokens: number
  outputTokens: number
  costNanoUsd: bigint
  /** 0 if the caller does not say. */
  items: number
  /** Buckets of histograms; -1 if there is no such time. */
  latencyBucket: number
  firstTokenBucket: number
}

export const QUARTERS_PER_DAY = 96

const ENDINGS: readonly Ending[] = ['completed', 'failed', 'canceled', 'expired', 'adjusted']
const CERTAINTIES: readonly Certainty[] = ['exact', 'estimated', 'upperBound']

/*
 * A call begins with one byte: ending, certainty × 8, and flags for what most calls lack. No call begins with `SEQ_BASE`: after that
 * byte comes the `settledSeq` of the next call. The others hold the distance to the call before.
 */
const CERTAINTY_FACTOR = 8
const HAS_CACHE = 0x20
const HAS_ITEMS = 0x40
/** The cost is negative or large: it is written as a sign and as two numbers. */
const HAS_WIDE_COST = 0x80
const SEQ_BASE = 0xff
const WIDE_COST_PART = 1_000_000_000_000n
const MAX_PLAIN_COST = BigInt(Number.MAX_SAFE_INTEGER)

/** A bucket of a histogram from here on takes a second byte. */
const LONG_BUCKET = 0xff

/** Small distances of either sign as small numbers. */
const zigzag = (distance: number) => (distance >= 0 ? distance * 2 : -distance * 2 - 1)
const unzigzag = (value: number) => (value % 2 === 0 ? value / 2 : -(value + 1) / 2)

/** At most this many bytes for a call. */
const MAX_CALL_BYTES = 192
const INITIAL_BYTES = 1024

/** Writes calls of ascending `seq`. What two writers wrote can be joined. */
export class CallPacker {
  #bytes = new Uint8Array(INITIAL_BYTES)
  #length = 0
  #lastSeq = 0

  reset(): void {
    this.#length = 0
  }

  /** @param isOfUser the calls are all of one user, whom they need not name */
  add(call: PackedCall, isOfUser = false): void {
    if (this.#bytes.length - this.#length < MAX_CALL_BYTES) {
      const larger = new Uint8Array(this.#bytes.length * 2)
      larger.set(this.#bytes)
      this.#bytes = larger
    }
    if (this.#length === 0) {
      this.#bytes[this.#length++] = SEQ_BASE
      this.#number((this.#lastSeq = call.seq))
    }
    const hasCache = call.cacheReadTokens + call.cacheWriteTokens > 0
    const isWide = call.costNanoUsd < 0n || call.costNanoUsd > MAX_PLAIN_COST
    this.#bytes[this.#length++] =
      ENDINGS.indexOf(call.ending) +
      CERTAINTIES.indexOf(call.certainty) * CERTAINTY_FACTOR +
      (hasCache ? HAS_CACHE : 0) +
      (call.items > 0 ? HAS_ITEMS : 0) +
      (isWide ? HAS_WIDE_COST : 0)
    this.#bytes[this.#length++] = call.quarter % QUARTERS_PER_DAY
    this.#number(call.seq - this.#lastSeq)
    this.#lastSeq = call.seq
    this.#number(call.target)
    this.#number(call.holder)
    this.#number(isOfUser ? 0 : call.user)
    this.#number(call.agent)
    this.#number(call.operation)
    this.#number(call.inputTokens)
    this.#number(call.outputTokens)
    this.#bucket(call.latencyBucket + 1)
    this.#bucket(call.firstTokenBucket < 0 ? 0 : 1 + zigzag(call.latencyBucket - call.firstTokenBucket))
    if (hasCache) {
      this.#number(call.cacheReadTokens)
      this.#number(call.cacheWriteTokens)
    }
    if (call.items > 0) this.#number(call.items)
    if (isWide) this.#wideCost(call.costNanoUsd)
    else this.#number(Number(call.costNanoUsd))
  }

  /** A copy of what was written since `reset`. */
  take(): Uint8Array {
    return this.#bytes.slice(0, this.#length)
  }

  /** Seven bits a byte, the lowest first. */
  #number(value: number): void {
    let rest = value
    while (rest >= 0x80) {
      this.#bytes[this.#length++] = (rest % 0x80) + 0x80
      rest = Math.floor(rest / 0x80)
    }
    this.#bytes[this.#length++] = rest
  }

  /** One byte for nearly all. */
  #bucket(value: number): void {
    if (value >= LONG_BUCKET) this.#bytes[this.#length++] = LONG_BUCKET
    this.#bytes[this.#length++] = value % LONG_BUCKET
  }

  #wideCost(costNanoUsd: bigint): void {
    const size = costNanoUsd < 0n ? -costNanoUsd : costNanoUsd
    this.#bytes[this.#length++] = costNanoUsd < 0n ? 1 : 0
    this.#number(Number(size / WIDE_COST_PART))
    this.#number(Number(size % WIDE_COST_PART))
  }
}

/** Reads calls one by one into `call`, which it reuses. */
export class CallUnpacker {
  readonly call: PackedCall = {
    seq: 0,
    quarter: 0,
    ending: 'completed',
    certainty: 'exact',
    target: 0,
    holder: 0,
    user: 0,
    agent: 0,
    operation: 0,
    inputTokens: 0,
    cacheReadTokens: 0,
    cacheWriteTokens: 0,
    outputTokens: 0,
    costNanoUsd: 0n,
    items: 0,
    latencyBucket: 0,
    firstTokenBucket: 0,
  }
  #bytes: Uint8Array = new Uint8Array(0)
  #at = 0
  #lastSeq = 0
  #firstQuarter = 0

  /** @param day whole days since the epoch */
  open(bytes: Uint8Array, day: number): void {
    this.#bytes = bytes
    this.#at = 0
    this.#firstQuarter = day * QUARTERS_PER_DAY
  }

  /** False at the end. */
  next(): boolean {
    if (this.#at >= this.#bytes.length) return false
    if (this.#bytes[this.#at] === SEQ_BASE) {
      this.#at += 1
      this.#lastSeq = this.#number()
    }
    const { call } = this
    const head = this.#bytes[this.#at++] ?? 0
    call.ending = ENDINGS[head % CERTAINTY_FACTOR] ?? 'completed'
    call.certainty = CERTAINTIES[(head >> 3) & 3] ?? 'exact'
    call.quarter = this.#firstQuarter + (this.#bytes[this.#at++] ?? 0)
    this.#lastSeq += this.#number()
    call.seq = this.#lastSeq
    call.target = this.#number()
    call.holder = this.#number()
    call.user = this.#number()
    call.agent = this.#number()
    call.operation = this.#number()
    call.inputTokens = this.#number()
    call.outputTokens = this.#number()
    call.latencyBucket = this.#bucket() - 1
    const firstToken = this.#bucket()
    call.firstTokenBucket = firstToken === 0 ? -1 : call.latencyBucket - unzigzag(firstToken - 1)
    const hasCache = (head & HAS_CACHE) !== 0
    call.cacheReadTokens = hasCache ? this.#number() : 0
    call.cacheWriteTokens = hasCache ? this.#number() : 0
    call.items = (head & HAS_ITEMS) === 0 ? 0 : this.#number()
    call.costNanoUsd = (head & HAS_WIDE_COST) === 0 ? BigInt(this.#number()) : this.#wideCost()
    return true
  }

  #number(): number {
    let byte = this.#bytes[this.#at++] ?? 0
    if (byte < 0x80) return byte
    let value = byte - 0x80
    let factor = 0x80
    for (;;) {
      byte = this.#bytes[this.#at++] ?? 0
      if (byte < 0x80) return value + byte * factor
      value += (byte - 0x80) * factor
      factor *= 0x80
    }
  }

  #bucket(): number {
    const byte = this.#bytes[this.#at++] ?? 0
    return byte < LONG_BUCKET ? byte : LONG_BUCKET + (this.#bytes[this.#at++] ?? 0)
  }

  #wideCost(): bigint {
    const isNegative = this.#bytes[this.#at++] === 1
    const size = BigInt(this.#number()) * WIDE_COST_PART + BigInt(this.#number())
    return isNegative ? -size : size
  }
}
