// Pattern run: the interface between a pattern and its host, which makes the model calls, and the ways in which a run ends early.

import type {
  ChatMessage,
  JsonObject,
  OutputFormat,
  Part,
  StopReason,
  ToolChoice,
  ToolDefinition,
} from '../../core/chat.ts'

/** A request to a model. The run knows which model. */
export interface ModelRequest {
  readonly system?: string
  readonly messages: readonly ChatMessage[]
  readonly tools?: readonly ToolDefinition[]
  readonly toolChoice?: ToolChoice
  readonly format?: OutputFormat
  readonly outputCap?: number
  readonly temperature?: number
}

/** The tokens of one call or of a whole run. */
export interface Tokens {
  readonly input: number
  readonly output: number
}

/** A model's response, with what it cost. */
export interface ModelResponse {
  readonly parts: readonly Part[]
  readonly stop: StopReason
  /** The texts of all parts, joined. */
  readonly text: string
  readonly tokens: Tokens
  readonly costNanoUsd: bigint
  readonly model: string
  readonly callId: string
  readonly simulated: boolean
}

/**
 * Calls a model. Waits if a limit allows the call later. Rejects with RunStopped if the run has to end.
 * @param step the step's name, for people
 */
export type CallModel = (request: ModelRequest, step: string) => Promise<ModelResponse>

/** Returns one vector per text, in the order of the texts. Rejects with RunStopped; for `error` a pattern goes on without vectors. */
export type Embed = (texts: readonly string[]) => Promise<Embeddings>

/** The vectors of an embedding call, with what it cost. */
export interface Embeddings {
  readonly vectors: readonly (readonly number[])[]
  readonly tokens: Tokens
  readonly costNanoUsd: bigint
  readonly model: string
  readonly callId: string
}

/** Why a run ended early. `left`: the caller disconnected. `error`: a model call failed, or returned unusable output twice. */
export type StopCause = 'budget' | 'rate' | 'steps' | 'deadline' | 'left' | 'error'

/** Thrown to end a run. A run with a partial result turns it into an outcome; otherwise it reaches the caller of `execute`. */
export class RunStopped extends Error {
  override name = 'RunStopped'
  readonly reason: StopCause

  constructor(reason: StopCause, message: string, options?: ErrorOptions) {
    super(message, options)
    this.reason = reason
  }
}

/** One step of a run: a model call, a tool run or a search. */
export interface Step {
  /** From 1. */
  readonly number: number
  readonly name: string
  readonly kind: 'ask' | 'tool' | 'retrieve'
  /** The step's input, cut to 500 characters. */
  readonly asked: string
  /** The step's output, cut to 500 characters. */
  readonly answered: string
  /** What is wrong with the output; absent if nothing is. */
  readonly failed?: string
  readonly durationMs: number
  /** Only of steps that made a call, as the fields below. */
  readonly tokens?: Tokens
  readonly costNanoUsd?: bigint
  readonly model?: string
  readonly callId?: string
}

/** What a pattern's host provides for one run. */
export interface Run {
  readonly callModel: CallModel
  readonly embed?: Embed
  /** Wall clock, in milliseconds. */
  nowMs(): number
  readonly maxSteps: number
  /** True once the caller has disconnected. Checked before every step. */
  isClientGone(): boolean
  /** Called with every step once it is done. */
  recordStep(step: Step): void
}

/** What a run returns, whether it was completed or not. */
export interface Outcome {
  readonly result: JsonObject
  /** Why the run ended early; absent if it was completed. */
  readonly stopped?: StopCause
  /** The reason as a sentence for people. */
  readonly stoppedBecause?: string
  readonly steps: readonly Step[]
  readonly modelCalls: number
  readonly tokens: Tokens
  readonly costNanoUsd: bigint
  /** True if any response was simulated. */
  readonly simulated: boolean
}
