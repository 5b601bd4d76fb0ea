// The simulated provider's answers before they have a form, and the form that a dialect gives them.

/** A call of a tool. */
export interface ToolCall {
  readonly id: string
  readonly name: string
  readonly arguments: Readonly<Record<string, unknown>>
}

/** A call, as far as the cap allows. */
export interface PartialToolCall extends ToolCall {
  /** Its arguments as JSON, one piece for each token. */
  readonly pieces: readonly string[]
  /** False if the cap ended it. */
  readonly isComplete: boolean
}

/** The content of an answer, before a dialect gives it a form. */
export interface AnswerContent {
  readonly id: string
  readonly model: string
  readonly words: readonly string[]
  /** In place of words. */
  readonly calls: readonly PartialToolCall[]
  readonly inputTokens: number
  readonly outputTokens: number
  /** True if the cap ended it. */
  readonly isTruncated: boolean
  readonly withUsage: boolean
}

/** A request's body, parsed. */
export type RequestBody = Readonly<Record<string, unknown>>

/** How one dialect writes answers. */
export interface AnswerFormat {
  /** True if answers may be calls of tools. */
  readonly callsTools?: boolean
  /** A whole answer, as JSON. */
  whole(content: AnswerContent, request: RequestBody): string
  /** The events of a stream, each as it is written. */
  stream(content: AnswerContent, request: RequestBody): readonly string[]
  /** The body of an error answer. */
  error(status: number, message: string): string
}
