// Count tap: the answer to a request for a count of tokens. It reports no usage: a count uses no tokens.

import { usageOf } from '../../core/usage.ts'
import { isErrorValue } from '../answer-errors.ts'
import type { AnswerUsage, Tap } from '../dialect.ts'
import { ObjectReader } from '../json/object-reader.ts'
import { DocumentTap, ErrorDocument } from './document.ts'

export const NO_USAGE: AnswerUsage = { usage: usageOf(), reasoningTokens: 0, model: null, serviceTier: null }

/** Never reports usage, even if the answer cannot be read: a count uses one request and no tokens. */
export function createCountTap(): Tap {
  return new FreeTap(readCount)
}

/** For other documents that cost nothing. An error that such a document holds is its content. */
export function createFreeTap(): Tap {
  return new FreeTap(() => NO_USAGE)
}

const COUNT = new ObjectReader<{ isError: boolean }>({
  error(json, count) {
    count.isError = isErrorValue(json)
  },
})

function readCount(document: Buffer): AnswerUsage {
  if (COUNT.readDocument(document, { isError: false }).isError) throw new ErrorDocument(NO_USAGE)
  return NO_USAGE
}

class FreeTap extends DocumentTap {
  override get finished(): boolean {
    return true
  }

  override answerUsage(): AnswerUsage {
    return NO_USAGE
  }
}
