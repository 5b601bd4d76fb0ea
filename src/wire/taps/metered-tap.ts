// Metered tap: the common part of all taps that take the end and the usage of an answer from another reader. It reads no bytes.

import type { AnswerUsage, Tap } from '../dialect.ts'

/** The state of an answer, as a dialect's reader of events or another tap knows it. */
type AnswerState = Pick<
  Tap,
  'answerUsage' | 'terminated' | 'finished' | 'failed' | 'hasContent' | 'errorJson' | 'isUsageFinal'
>

/** A tap whose state is that of `source`. A subclass handles the bytes. */
export abstract class MeteredTap<Source extends AnswerState> implements Tap {
  protected readonly source: Source

  constructor(source: Source) {
    this.source = source
  }

  abstract readonly isDocument: boolean
  abstract readonly eventCount: number
  abstract push(chunk: Buffer): Buffer
  abstract end(): Buffer

  get terminated(): boolean {
    return this.source.terminated
  }

  get finished(): boolean {
    return this.source.finished
  }

  get failed(): boolean {
    return this.source.failed
  }

  get hasContent(): boolean {
    return this.source.hasContent
  }

  get errorJson(): Buffer | undefined {
    return this.source.errorJson
  }

  get isUsageFinal(): boolean {
    return this.source.isUsageFinal
  }

  answerUsage(): AnswerUsage | undefined {
    return this.source.answerUsage()
  }
}
