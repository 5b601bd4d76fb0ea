// Pattern run: what a course is given of the world, what it asks and gets, and the ways it ends early.

import type {
  ChatMessage,
  JsonObject,
  OutputFormat,
  Part,
  StopReason,
  ToolChoice,
  ToolDefinition,
} from '../../core/chat.ts'

/** What a pattern asks of a model. Which model is the run's to know. */
export interface ModelRequest {
  readonly system?: string
  readonly messages: readonly ChatMessage[]
  readonly tools?: readonly ToolDefinition[]
  readonly toolChoice?: ToolChoice
  readonly format?: OutputFormat
  readonly outputCap?: number
  readonly temperature?: number
}

export interface Tokens {
  readonly input: number
  readonly output: number
}

export interface ModelResponse {
  readonly parts: readonly Part[]
  readonly stop: StopReason
  /** All text parts, one after the other. */
  readonly text: string
  readonly tokens: Tokens
  readonly costNanoUsd: bigint
  readonly model: string
  readonly callId: string
  readonly simulated: boolean
}

/** The only way to a model. Waits where waiting helps; throws Stopped where the run has to end. */
export type CallModel = (ask: ModelRequest, step: string) => Promise<ModelResponse>

/**
 * One vector for each text, in their order, and what they cost. Throws Stopped as `AskModel` does; `error` only costs the
 * run its better order.
 */
export type Embed = (texts: readonly string[]) => Promise<Embeddings>

export interface Embeddings {
  readonly vectors: readonly (readonly number[])[]
  readonly tokens: Tokens
  readonly costNanoUsd: bigint
  readonly model: string
  readonly callId: string
}

/** `left`: the caller went away. `error`: a model failed, or twice gave something that cannot be used. */
export type StopCause = 'budget' | 'rate' | 'steps' | 'deadline' | 'left' | 'error'

/** A run has to end. What it found so far is its outcome; where it found nothing yet, this is what its starter catches. */
export class RunStopped extends Error {
  override name = 'RunStopped'
  readonly reason: StopCause

  constructor(reason: StopCause, message: string, options?: ErrorOptions) {
    super(message, options)
    this.reason = reason
  }
}

/** Something a run did: asked a model, ran a tool, looked something up. */
export interface Step {
  /** From 1. */
  readonly number: number
  readonly name: string
  readonly kind: 'ask' | 'tool' | 'retrieve'
  /** At most 500 characters, as is what came back. */
  readonly asked: string
  readonly answered: string
  /** What was wrong with what came back. */
  readonly failed?: string
  readonly durationMs: number
  /** Of asks alone, as all that follows. */
  readonly tokens?: Tokens
  readonly costNanoUsd?: bigint
  readonly model?: string
  readonly callId?: string
}

/** All that a course has of the world. */
export interface Run {
  readonly callModel: CallModel
  readonly embed?: Embed
  /** Wall clock, milliseconds. */
  nowMs(): number
  readonly maxSteps: number
  /** True once the caller is gone; asked before every step. */
  isClientGone(): boolean
  /** Told of every step when it is done. */
  recordStep(step: Step): void
}

export interface Outcome {
  readonly result: JsonObject
  /** What ended the run before its end; absent where it came to it. */
  readonly stopped?: StopCause
  /** Why, for people. */
  readonly stoppedBecause?: string
  readonly steps: readonly Step[]
  readonly modelCalls: number
  readonly tokens: Tokens
  readonly costNanoUsd: bigint
  /** Any of its answers was simulated. */
  readonly simulated: boolean
}
