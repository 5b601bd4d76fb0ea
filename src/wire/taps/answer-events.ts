// Answer events: what every dialect keeps while it reads the events of a stream. Never throws on an event it cannot read.

import { firstOfList } from '../answer-errors.ts'
import type { AnswerUsage } from '../dialect.ts'

/** What a dialect makes of the data lines of its streams. */
export interface EventUsageReader {
  /** True if a chunk may hold something that matters. It only saves time: it may say true for nothing, never false for something. */
  mayMatter(chunk: Buffer): boolean
  /** Reads the payload of one data line. Returns true to hide the event from the caller. Never throws. */
  readData(payload: Buffer): boolean
  answerUsage(): AnswerUsage | undefined
  readonly terminated: boolean
  readonly finished: boolean
  readonly failed: boolean
  readonly hasContent: boolean
  readonly errorJson: Buffer | undefined
  readonly isUsageFinal: boolean
}

/** Reads the events that matter, and keeps the usage that was reported last: usage in a stream is a running total. */
export abstract class AnswerEvents implements EventUsageReader {
  terminated = false
  finished = false
  failed = false
  hasContent = false
  errorJson: Buffer | undefined
  isUsageFinal = false
  protected lastUsage: AnswerUsage | undefined

  /** Until there is content, every event matters. */
  mayMatter(chunk: Buffer): boolean {
    return !this.hasContent || this.matters(chunk)
  }

  /** As `mayMatter`, once there is content. */
  protected abstract matters(chunk: Buffer): boolean

  /** Returns true to hide the event. May throw on what is no event of the dialect. */
  protected abstract readEvent(payload: Buffer): boolean

  readData(payload: Buffer): boolean {
    if (!this.mayMatter(payload)) return false
    try {
      const event = firstOfList(payload) ?? payload
      const isHidden = this.readEvent(event)
      if (this.failed) this.errorJson ??= event
      return isHidden
    } catch {
      // An event that cannot be read is passed on as it came, and may be content.
      this.hasContent ||= this.finished || !saysNothing(payload)
      return false
    }
  }

  answerUsage(): AnswerUsage | undefined {
    return this.lastUsage
  }
}

function saysNothing(payload: Buffer): boolean {
  return payload.length < 16 && /^\s*(?:\[DONE\])?\s*$/.test(payload.toString('latin1'))
}
