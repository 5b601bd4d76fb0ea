// Chat: a chat request, its response, its stream and its errors in terms of no provider. A translator reads a dialect into
// these types and writes them as a dialect. Nothing here is stored or sent as it stands.

import type { Usage } from './usage.ts'

/** A parsed JSON object of unknown shape. */
export type JsonObject = Readonly<Record<string, unknown>>

/**
 * Extras: the fields of a request that only one dialect has. A writer of the same dialect restores them exactly. A writer of
 * another dialect leaves out `hints` and reports their names, and refuses `needs`. Names are the dialect's own, with dots for
 * nesting: `logit_bias`, `thinking.display`.
 */
export interface Extras {
  /** The dialect that has these fields, as in wire/index.ts. */
  readonly dialect: string
  /** Fields without which the answer is still useful. */
  readonly hints?: JsonObject
  /** Fields without which the answer would be wrong. */
  readonly needs?: JsonObject
  /** Details of the original spelling, such as a field's form or its signature. Other dialects ignore them and report nothing. */
  readonly marks?: JsonObject
}

/** A hint: cache the prompt up to and including this part, for five minutes or for one hour. */
export type CacheHint = '5m' | '1h'

/** Text in a message. */
export interface TextPart {
  readonly kind: 'text'
  readonly text: string
  /** The tool that the text names: the target's name for the tool takes the place of the caller's. */
  readonly namedTool?: string
  readonly cache?: CacheHint
  readonly extras?: Extras
}

/** An image, a document, a sound or a video, either inline or by its URL. */
export interface MediaPart {
  readonly kind: 'media'
  /** A MIME type: `image/png`; `image/*` if the dialect does not name the exact type. */
  readonly mediaType: string
  readonly source: { readonly base64: string } | { readonly url: string }
  /** The file's name. */
  readonly name?: string
  readonly cache?: CacheHint
  readonly extras?: Extras
}

/** A model's thoughts. Only the provider that wrote `signature` or `redacted` can read them. */
export interface ReasoningPart {
  readonly kind: 'reasoning'
  readonly text: string
  /** The provider's proof that the text is the model's and unchanged. */
  readonly signature?: string
  /** Encrypted thoughts, which only the provider can read. */
  readonly redacted?: string
  /** The dialect of `signature` and `redacted`. Writers of other dialects leave both out. */
  readonly signedIn?: string
  readonly extras?: Extras
}

/** A model's call of a tool. */
export interface ToolCallPart {
  readonly kind: 'toolCall'
  /** Unique within a conversation, never empty. The reader makes up an id if the dialect has none. */
  readonly id: string
  /** The tool's name. */
  readonly name: string
  /** JSON exactly as the model wrote it, so it can be malformed. Never empty: a call without arguments has `{}`. */
  readonly arguments: string
  /** Gemini's thought signature. */
  readonly signature?: string
  readonly cache?: CacheHint
  readonly extras?: Extras
}

/** What a tool returned. */
export interface ToolResultPart {
  readonly kind: 'toolResult'
  /** The `id` of the tool call that this result answers. */
  readonly callId: string
  /** The tool's name. The reader takes it from the call if the dialect does not repeat it. */
  readonly name: string
  readonly parts: readonly (TextPart | MediaPart)[]
  readonly failed: boolean
  readonly cache?: CacheHint
  readonly extras?: Extras
}

/** A model's refusal in words, if the dialect separates refusals from text. */
export interface RefusalPart {
  readonly kind: 'refusal'
  readonly text: string
}

/** A part that exists in one dialect only. Writers of other dialects refuse it by its name. */
export interface DialectPart {
  readonly kind: 'dialect'
  /** The dialect that has the part, as in wire/index.ts. */
  readonly dialect: string
  readonly name: string
  /** The part's JSON, unchanged. */
  readonly value: JsonObject
}

export type Part = TextPart | MediaPart | ReasoningPart | ToolCallPart | ToolResultPart | RefusalPart | DialectPart

/**
 * One message of a conversation. A `system` message can stand anywhere, as OpenAI allows. Tool results are parts of a `user`
 * message: one part per answered call, before the message's other parts.
 */
export interface ChatMessage {
  readonly role: 'system' | 'user' | 'assistant'
  readonly parts: readonly Part[]
  readonly extras?: Extras
}

/** A tool that the caller runs. */
export interface ToolDefinition {
  readonly kind: 'function'
  readonly name: string
  readonly description?: string
  /** JSON Schema of type object for the arguments. Absent if the tool takes none. */
  readonly schema?: JsonObject
  /** True: the provider must enforce the schema. */
  readonly strict?: boolean
  readonly cache?: CacheHint
  readonly extras?: Extras
}

/** A tool that runs at the provider, or a kind of tool that exists in one dialect only. Writers of other dialects refuse it. */
export interface DialectTool {
  readonly kind: 'dialect'
  /** The dialect that has the tool, as in wire/index.ts. */
  readonly dialect: string
  readonly name: string
  /** The tool's JSON, unchanged. */
  readonly value: JsonObject
  /** True: without the tool the answer is as useful, so writers of other dialects leave it out. */
  readonly isHint?: boolean
}

/** Whether the model may, must or must not call a tool, and which ones. */
export type ToolChoice =
  | { readonly kind: 'auto' | 'none' | 'required' }
  | { readonly kind: 'tools'; readonly names: readonly string[]; readonly required: boolean }

/** The format of the response's text: JSON, or JSON that a schema describes. */
export type OutputFormat =
  | { readonly kind: 'json' }
  | {
      readonly kind: 'schema'
      readonly schema: JsonObject
      readonly name?: string
      readonly description?: string
      readonly strict?: boolean
    }

/** Levels of reasoning effort, the lowest first. */
export const EFFORTS = ['none', 'minimal', 'low', 'medium', 'high', 'xhigh', 'max'] as const
export type Effort = (typeof EFFORTS)[number]

/** How much the model should think, as a level or in tokens. The provider chooses what is absent. */
export interface Reasoning {
  readonly effort?: Effort
  readonly budgetTokens?: number
  /** True: the model decides. Anthropic's `adaptive`, Gemini's budget of `-1`. */
  readonly dynamic?: boolean
  /** Whether the response shows thoughts or summaries of them. */
  readonly shown?: boolean
}

/** A chat request. An absent field was absent in the caller's request. */
export interface ChatRequest {
  readonly model: string
  readonly stream: boolean
  readonly messages: readonly ChatMessage[]
  readonly tools?: readonly (ToolDefinition | DialectTool)[]
  readonly toolChoice?: ToolChoice
  /** False: a response may hold at most one tool call. */
  readonly parallelTools?: boolean
  readonly format?: OutputFormat
  /** The maximum number of output tokens. */
  readonly outputCap?: number
  /** The number of choices in the response. */
  readonly answers?: number
  readonly temperature?: number
  readonly topP?: number
  readonly topK?: number
  readonly seed?: number
  /** Sequences that end the response. */
  readonly stop?: readonly string[]
  readonly frequencyPenalty?: number
  readonly presencePenalty?: number
  readonly reasoning?: Reasoning
  /** The caller's id of its own user. */
  readonly user?: string
  /** A hint: cache as much of the prompt as the provider can. */
  readonly cache?: CacheHint
  readonly extras?: Extras
}

/** Why a model stopped. */
export type StopReason = 'end' | 'length' | 'toolCalls' | 'stopSequence' | 'filtered' | 'refusal' | 'context' | 'paused'

/** One of a response's alternatives. */
export interface ChatChoice {
  readonly parts: readonly Part[]
  readonly stop: StopReason
  /** The stop sequence that the model wrote, if the dialect names it. */
  readonly stopSequence?: string
}

/** The usage of one call, as metered from the provider's bytes. */
export interface ChatUsage {
  readonly usage: Usage
  /** The part of the output tokens that the model spent on thoughts. */
  readonly reasoningTokens: number
}

/** A whole response. */
export interface ChatResponse {
  /** Set if the model gave up, so that its response is none: the caller should try again. */
  readonly failure?: ChatError
  /** The provider's id of the response; empty if the provider gave none. */
  readonly id: string
  /** The model as the provider names it; empty if the provider did not name it. */
  readonly model: string
  readonly choices: readonly ChatChoice[]
}

/**
 * An event of a streamed response. `choice` is the index of the choice in the response, `call` the index of the tool call in
 * its choice; both count from 0.
 */
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
  /** The next piece of a tool call's arguments, which are JSON. */
  | { readonly kind: 'arguments'; readonly choice: number; readonly call: number; readonly text: string }
  | { readonly kind: 'media'; readonly choice: number; readonly mediaType: string; readonly base64: string }
  | { readonly kind: 'refusal'; readonly choice: number; readonly text: string }
  | { readonly kind: 'stop'; readonly choice: number; readonly reason: StopReason; readonly stopSequence?: string }
  | { readonly kind: 'error'; readonly error: ChatError }

/** A provider's error. */
export interface ChatError {
  /** HTTP status; 0 for an error inside a stream that names no status. */
  readonly status: number
  readonly kind: ErrorKind
  readonly message: string
  /** The provider's own code, for people to read. */
  readonly code?: string
  /** How long the provider asks to wait, in milliseconds. */
  readonly retryAfterMs?: number
  /** Of kind `contextLength`, the tokens of the prompt and the most that the model takes, if the provider says both. */
  readonly tokens?: number
  readonly maxTokens?: number
}

export type ErrorKind =
  | 'invalid'
  /** The prompt is too long for the model. */
  | 'contextLength'
  /** The provider's filter refused the prompt. */
  | 'contentFilter'
  | 'unauthenticated'
  | 'forbidden'
  | 'notFound'
  | 'tooLarge'
  | 'rate'
  /** Money or quota is used up, so waiting does not help. */
  | 'quota'
  | 'overloaded'
  | 'timeout'
  | 'server'
