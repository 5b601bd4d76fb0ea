// Metered tap: what all taps have in common that learn how an answer ended, and what it used, from another reader.

import type { AnswerUsage, Tap } from '../dialect.ts'

/** What is known of an answer: a dialect's reader of events, or another tap. */
type AnswerState = Pick<Tap, 'answerUsage' | 'terminated' | 'finished' | 'failed'>

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

  answerUsage(): AnswerUsage | undefined {
    return this.source.answerUsage()
  }
}
