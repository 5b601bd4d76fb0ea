// The simulated provider's shapes: what it has to say, and the form a dialect puts it in.

/** A call of a tool. */
export interface ToolCall {
  readonly id: string
  readonly name: string
  readonly arguments: Readonly<Record<string, unknown>>
}

/** A call as far as the cap let it be made. */
export interface PartialToolCall extends ToolCall {
  /** Its arguments as JSON, one piece for each token. */
  readonly pieces: readonly string[]
  /** False where the cap ended it. */
  readonly isComplete: boolean
}

/** What is to be said, before it is put in a dialect's shape. */
export interface AnswerContent {
  readonly id: string
  readonly model: string
  readonly words: readonly string[]
  /** In place of words. */
  readonly calls: readonly PartialToolCall[]
  readonly inputTokens: number
  readonly outputTokens: number
  /** The cap ended it. */
  readonly isTruncated: boolean
  readonly withUsage: boolean
}

/** A request's body, parsed. */
export type RequestBody = Readonly<Record<string, unknown>>

export interface AnswerFormat {
  whole(speech: AnswerContent, asked: RequestBody): string
  stream(speech: AnswerContent, asked: RequestBody): readonly string[]
  error(status: number, message: string): string
}
