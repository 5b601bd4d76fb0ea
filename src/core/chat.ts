// Neutral: what is asked of a model and what it answers, in no provider's words. Every dialect translates to it and from it.

import type { Usage } from './usage.ts'

/** A parsed JSON object of unknown shape. */
export type JsonObject = Readonly<Record<string, unknown>>

/**
 * What only one dialect has words for. A translation to the same dialect puts it back as it was; a translation to another
 * one leaves `hints` out, by name, and refuses `needs`, by name. Names are the dialect's own: `logit_bias`, `thinking.display`.
 */
export interface Extras {
  readonly dialect: string
  readonly hints?: JsonObject
  readonly needs?: JsonObject
  /** What was never asked for, and is for that dialect's own writer alone: spellings, signatures. Others pass over it in silence. */
  readonly marks?: JsonObject
}

/** For how long what stands before it is to be cached. A hint. */
export type CacheHint = '5m' | '1h'

export interface TextPart {
  readonly kind: 'text'
  readonly text: string
  readonly cache?: CacheHint
  readonly extras?: Extras
}

/** An image, a document, a sound or a film: inline, or where it lies. */
export interface MediaPart {
  readonly kind: 'media'
  /** `image/png`; `image/*` where the dialect does not say. */
  readonly mediaType: string
  readonly source: { readonly base64: string } | { readonly url: string }
  /** Of a file. */
  readonly name?: string
  readonly cache?: CacheHint
  readonly extras?: Extras
}

/** What a model thought. `signature` and `redacted` mean something to the provider that wrote them, and to no other. */
export interface ReasoningPart {
  readonly kind: 'reasoning'
  readonly text: string
  readonly signature?: string
  /** Thought that is not shown, for the provider alone. */
  readonly redacted?: string
  /** The dialect in which signature or redacted thought were written. */
  readonly signedIn?: string
  readonly extras?: Extras
}

export interface ToolCallPart {
  readonly kind: 'toolCall'
  /** Unique within a conversation. Never empty: readers make one up where the dialect has none. */
  readonly id: string
  readonly name: string
  /** JSON, as the model wrote it: it may be broken. Never empty: `{}` where there are none. */
  readonly arguments: string
  /** Gemini's thought signature. */
  readonly signature?: string
  readonly cache?: CacheHint
  readonly extras?: Extras
}

export interface ToolResultPart {
  readonly kind: 'toolResult'
  readonly callId: string
  /** Of the tool; readers find it by the call where the dialect does not say it. */
  readonly name: string
  readonly parts: readonly (TextPart | MediaPart)[]
  readonly failed: boolean
  readonly cache?: CacheHint
  readonly extras?: Extras
}

/** A model's refusal in words, where the dialect tells it from text. */
export interface RefusalPart {
  readonly kind: 'refusal'
  readonly text: string
}

/** A part that only its dialect knows. Another one refuses it by this name. */
export interface DialectPart {
  readonly kind: 'own'
  readonly dialect: string
  readonly name: string
  readonly value: JsonObject
}

export type Part = TextPart | MediaPart | ReasoningPart | ToolCallPart | ToolResultPart | RefusalPart | DialectPart

/**
 * One message. `system` may stand anywhere, as OpenAI allows; tool results are parts of a `user` message, one for each call
 * answered, before any other part of it.
 */
export interface ChatMessage {
  readonly role: 'system' | 'user' | 'assistant'
  readonly parts: readonly Part[]
  readonly extras?: Extras
}

export interface ToolDefinition {
  readonly kind: 'function'
  readonly name: string
  readonly description?: string
  /** JSON Schema of its arguments, an object. Absent: it takes none. */
  readonly schema?: JsonObject
  readonly strict?: boolean
  readonly cache?: CacheHint
  readonly extras?: Extras
}

/** A tool that runs at the provider, or is of a kind that only its dialect knows. */
export interface DialectTool {
  readonly kind: 'own'
  readonly dialect: string
  readonly name: string
  readonly value: JsonObject
}

export type ToolChoice =
  | { readonly kind: 'auto' | 'none' | 'required' }
  | { readonly kind: 'tools'; readonly names: readonly string[]; readonly required: boolean }

/** What the answer's text is to be. */
export type OutputFormat =
  | { readonly kind: 'json' }
  | {
      readonly kind: 'schema'
      readonly schema: JsonObject
      readonly name?: string
      readonly description?: string
      readonly strict?: boolean
    }

export const EFFORTS = ['none', 'minimal', 'low', 'medium', 'high', 'xhigh', 'max'] as const
export type Effort = (typeof EFFORTS)[number]

/** How much to think, in words or in tokens; absent parts are the provider's to choose. */
export interface Reasoning {
  readonly effort?: Effort
  readonly budgetTokens?: number
  /** Let the model decide: Anthropic's `adaptive`, Gemini's `-1`. */
  readonly dynamic?: boolean
  /** Whether the answer is to show (summaries of) thoughts. */
  readonly shown?: boolean
}

/** What is asked. Absent fields were not asked for. */
export interface ChatRequest {
  readonly model: string
  readonly stream: boolean
  readonly messages: readonly ChatMessage[]
  readonly tools?: readonly (ToolDefinition | DialectTool)[]
  readonly toolChoice?: ToolChoice
  /** False: at most one call in an answer. */
  readonly parallelTools?: boolean
  readonly format?: OutputFormat
  readonly outputCap?: number
  readonly answers?: number
  readonly temperature?: number
  readonly topP?: number
  readonly topK?: number
  readonly seed?: number
  readonly stop?: readonly string[]
  readonly frequencyPenalty?: number
  readonly presencePenalty?: number
  readonly reasoning?: Reasoning
  readonly user?: string
  readonly extras?: Extras
}

/** Why a model stopped. */
export type StopReason = 'end' | 'length' | 'toolCalls' | 'stopSequence' | 'filtered' | 'refusal' | 'context' | 'paused'

export interface ChatChoice {
  readonly parts: readonly Part[]
  readonly stop: StopReason
  /** The one that was met. */
  readonly stopSequence?: string
}

/** What was used, as far as anybody said. */
export interface ChatUsage {
  readonly usage: Usage
  readonly reasoningTokens: number
}

export interface ChatResponse {
  /** The provider's own; empty where it gave none. */
  readonly id: string
  readonly model: string
  readonly choices: readonly ChatChoice[]
}

/** A piece of a streamed answer. `choice` counts the answers of one call from 0, `call` the tool calls of one answer. */
export type ChatEvent =
  | { readonly kind: 'start'; readonly id: string; readonly model: string }
  | { readonly kind: 'text'; readonly choice: number; readonly text: string }
  | { readonly kind: 'reasoning'; readonly choice: number; readonly text: string }
  /** Signs the reasoning that came before it. */
  | { readonly kind: 'signature'; readonly choice: number; readonly signature: string; readonly signedIn: string }
  | { readonly kind: 'redacted'; readonly choice: number; readonly data: string; readonly signedIn: string }
  | {
      readonly kind: 'toolCall'
      readonly choice: number
      readonly call: number
      readonly id: string
      readonly name: string
      readonly signature?: string
    }
  /** More of a tool call's arguments: JSON in pieces. */
  | { readonly kind: 'arguments'; readonly choice: number; readonly call: number; readonly text: string }
  | { readonly kind: 'media'; readonly choice: number; readonly mediaType: string; readonly base64: string }
  | { readonly kind: 'refusal'; readonly choice: number; readonly text: string }
  | { readonly kind: 'stop'; readonly choice: number; readonly reason: StopReason; readonly stopSequence?: string }
  | { readonly kind: 'error'; readonly error: ChatError }

/** What went wrong at a provider, in no provider's words. */
export interface ChatError {
  /** HTTP status, or 0 in the middle of a stream that did not say one. */
  readonly status: number
  readonly kind: ErrorKind
  readonly message: string
  /** The provider's own code, for people. */
  readonly code?: string
}

export type ErrorKind =
  | 'invalid'
  | 'unauthenticated'
  | 'forbidden'
  | 'notFound'
  | 'tooLarge'
  | 'rate'
  /** Money or quota is used up: waiting does not help. */
  | 'quota'
  | 'overloaded'
  | 'timeout'
  | 'server'
