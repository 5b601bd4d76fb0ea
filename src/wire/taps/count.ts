// Count tap: the answer to a request for a count of tokens. It reports no usage: a count uses no tokens.

import { usageOf } from '../../core/usage.ts'
import type { AnswerUsage, Tap } from '../dialect.ts'
import { DocumentTap } from './document.ts'

export const NO_USAGE: AnswerUsage = { usage: usageOf(), reasoningTokens: 0, model: null, serviceTier: null }

/** Reports no usage whatever the answer holds, readable or not: a count costs no more than the request. */
export function createCountTap(): Tap {
  return new CountTap(() => NO_USAGE)
}

class CountTap extends DocumentTap {
  override get finished(): boolean {
    return true
  }

  override answerUsage(): AnswerUsage {
    return NO_USAGE
  }
}
