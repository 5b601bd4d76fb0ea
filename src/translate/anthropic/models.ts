// Anthropic models: what each generation takes of thinking and sampling, told by its name.

import type { ChatMessage, ChatRequest, Effort, JsonObject, Reasoning, ReasoningPart } from '../../core/chat.ts'
import { DIALECT, optionalField, writeExtras } from './dialect-fields.ts'

const VERSION = /claude-(?:[a-z]+-)?(\d{1,2})(?:[-.](\d{1,2}))?(?!\d)/

/** 406 for `claude-opus-4-6`. A name that tells no version is taken for the newest. */
export function versionOf(model: string): number {
  const [, major, minor = '0'] = VERSION.exec(model) ?? []
  return major === undefined ? Number.POSITIVE_INFINITY : Number(major) * 100 + Number(minor)
}

const FIRST_THINKING_VERSION = 307
/** Also the first that takes either temperature or top_p, and not both. */
const FIRST_STRICT_TOOLS_VERSION = 401
const FIRST_ADAPTIVE_VERSION = 406
/** Budgets are refused from here on, and so is any sampling but the usual. */
const FIRST_ADAPTIVE_ONLY_VERSION = 407

export function supportsStrictTools(model: string): boolean {
  return versionOf(model) >= FIRST_STRICT_TOOLS_VERSION
}

const MIN_BUDGET_TOKENS = 1_024
const BUDGET_TOKENS_BY_EFFORT: Readonly<Record<Effort, number>> = {
  none: 0,
  minimal: 1_024,
  low: 1_024,
  medium: 4_096,
  high: 16_384,
  xhigh: 16_384,
  max: 16_384,
}

/** Fields of thinking, and whether what was asked of it is left out. */
export interface ThinkingFields {
  readonly thinking?: JsonObject
  readonly effort?: string
  readonly isDropped?: boolean
}

/** @param cap of the output: a budget has to leave room below it */
export function thinkingOf(ask: ChatRequest, model: string, cap: number): ThinkingFields {
  const reasoning = ask.reasoning ?? {}
  const { effort, budgetTokens, dynamic, shown } = reasoning
  if (writeExtras(ask.extras, new Set()).thinking !== undefined) return optionalField('effort', effort)
  if (effort === undefined && budgetTokens === undefined && !dynamic && !shown) return {}
  const version = versionOf(model)
  if (effort === 'none' || (budgetTokens !== undefined && budgetTokens <= 0)) {
    return version >= FIRST_THINKING_VERSION ? { thinking: { type: 'disabled' } } : {}
  }
  const isForced = ask.toolChoice?.kind === 'required' || (ask.toolChoice?.kind === 'tools' && ask.toolChoice.required)
  if (version < FIRST_THINKING_VERSION || isForced) return { isDropped: true }
  const display = optionalField('display', shown === undefined ? undefined : shown ? 'summarized' : 'omitted')
  if (version >= FIRST_ADAPTIVE_ONLY_VERSION || (version >= FIRST_ADAPTIVE_VERSION && budgetTokens === undefined)) {
    return { thinking: { type: 'adaptive', ...display }, ...optionalField('effort', effortOf(reasoning, version)) }
  }
  if (cap <= MIN_BUDGET_TOKENS || hasUnsignedCalls(ask.messages)) return { isDropped: true }
  const wanted = Math.max(MIN_BUDGET_TOKENS, budgetTokens ?? BUDGET_TOKENS_BY_EFFORT[effort ?? 'medium'])
  const thinking = { type: 'enabled', budget_tokens: Math.min(wanted, cap - 1), ...display }
  return { thinking, ...optionalField('effort', budgetTokens === undefined ? undefined : effort) }
}

/** Effort in a word the model knows. */
function effortOf({ effort, budgetTokens }: Reasoning, version: number): string | undefined {
  if (effort === 'minimal') return 'low'
  if (effort === 'xhigh' && version < FIRST_ADAPTIVE_ONLY_VERSION) return 'high'
  if (effort !== undefined || budgetTokens === undefined) return effort
  if (budgetTokens <= 2_048) return 'low'
  return budgetTokens <= 8_192 ? 'medium' : 'high'
}

/** True where the last word of the model was a call that no signed thought stands before: a budget is refused after it. */
function hasUnsignedCalls(messages: readonly ChatMessage[]): boolean {
  const last = messages.findLast(({ role }) => role === 'assistant')
  const call = last?.parts.findIndex(({ kind }) => kind === 'toolCall') ?? -1
  return call >= 0 && !last?.parts.slice(0, call).some((part) => part.kind === 'reasoning' && isSigned(part))
}

/** By Anthropic: what others signed is not sent there. */
function isSigned({ signedIn, signature, redacted }: ReasoningPart): boolean {
  return signedIn === DIALECT && (signature !== undefined || redacted !== undefined)
}

const MIN_THINKING_TOP_P = 0.95

/** Temperature, top_p and top_k as far as the model takes them; the others are noted, if they are not the usual anyway. */
export function samplingOf(ask: ChatRequest, model: string, isThinking: boolean, dropped: Set<string>): JsonObject {
  const version = versionOf(model)
  const isFixed = isThinking || version >= FIRST_ADAPTIVE_ONLY_VERSION
  const leastTopP = version >= FIRST_ADAPTIVE_ONLY_VERSION ? 1 : isThinking ? MIN_THINKING_TOP_P : 0
  const isEither = version >= FIRST_STRICT_TOOLS_VERSION && ask.temperature !== undefined && ask.topP !== undefined
  const topP = isEither && ask.topP === 1 ? undefined : ask.topP
  const asked = isEither && ask.temperature === 1 && topP !== undefined ? undefined : ask.temperature
  const temperature = asked === undefined ? undefined : Math.min(asked, 1)
  const takesTemperature = temperature === undefined || temperature === 1 || !isFixed
  const takesTopP = topP === undefined || (topP >= leastTopP && !(isEither && temperature !== undefined))
  if (temperature !== asked || !takesTemperature) dropped.add('temperature')
  if (!takesTopP) dropped.add('topP')
  if (ask.topK !== undefined && isFixed) dropped.add('topK')
  return {
    ...optionalField('temperature', takesTemperature ? temperature : undefined),
    ...optionalField('top_p', takesTopP ? topP : undefined),
    ...optionalField('top_k', isFixed ? undefined : ask.topK),
  }
}
