// Counting tap: the answer to a request for a count. What it says was used by nobody.

import { usageOf } from '../../core/usage.ts'
import type { AnswerUsage, Tap } from '../dialect.ts'
import { DocumentTap } from './document.ts'

const NO_USAGE: AnswerUsage = { usage: usageOf(), reasoningTokens: 0, model: null, serviceTier: null }

/** Counts nothing, whatever the answer holds, readable or not: a count costs no more than the request. */
export function countingTap(): Tap {
  return new CountingTap(() => NO_USAGE)
}

class CountingTap extends DocumentTap {
  override get finished(): boolean {
    return true
  }

  override answerUsage(): AnswerUsage {
    return NO_USAGE
  }
}
