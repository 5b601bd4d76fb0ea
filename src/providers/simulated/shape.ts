// The simulated provider's shapes: what it has to say, and the form a dialect puts it in.

/** A call of a tool. */
export interface Call {
  readonly id: string
  readonly name: string
  readonly arguments: Readonly<Record<string, unknown>>
}

/** A call as far as the cap let it be made. */
export interface SpokenCall extends Call {
  /** Its arguments as JSON, one piece for each token. */
  readonly pieces: readonly string[]
  /** False where the cap ended it. */
  readonly whole: boolean
}

/** What is to be said, before it is put in a dialect's shape. */
export interface Speech {
  readonly id: string
  readonly model: string
  readonly words: readonly string[]
  /** In place of words. */
  readonly calls: readonly SpokenCall[]
  readonly input: number
  readonly output: number
  /** The cap ended it. */
  readonly cut: boolean
  readonly withUsage: boolean
}

/** A request's body, parsed. */
export type Asked = Readonly<Record<string, unknown>>

export interface Shape {
  whole(speech: Speech, asked: Asked): string
  stream(speech: Speech, asked: Asked): readonly string[]
  error(status: number, message: string): string
}
