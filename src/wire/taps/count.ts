// Count tap: the answer to a request for a count of tokens. It reports no usage: a count uses no tokens.

import { usageOf } from '../../core/usage.ts'
import type { AnswerUsage, Tap } from '../dialect.ts'
import { DocumentTap } from './document.ts'

export const NO_USAGE: AnswerUsage = { usage: usageOf(), reasoningTokens: 0, model: null, serviceTier: null }

/** Never reports usage, even if the answer cannot be read: a count uses one request and no tokens. */
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
