// Anthropic models: what each generation takes of thinking and sampling, told by its name.

import type { Effort, JsonObject, NeutralAsk, NeutralMessage, Reasoning, ReasoningPart } from '../../core/chat.ts'
import { DIALECT, given, ownFields } from './dialect-fields.ts'

const VERSION = /claude-(?:[a-z]+-)?(\d{1,2})(?:[-.](\d{1,2}))?(?!\d)/

/** 406 for `claude-opus-4-6`. A name that tells no version is taken for the newest. */
export function versionOf(model: string): number {
  const [, major, minor = '0'] = VERSION.exec(model) ?? []
  return major === undefined ? Number.POSITIVE_INFINITY : Number(major) * 100 + Number(minor)
}

const THINKING = 307
/** Also the first that takes either temperature or top_p, and not both. */
const STRICT_TOOLS = 401
const ADAPTIVE = 406
/** Budgets are refused from here on, and so is any sampling but the usual. */
const ADAPTIVE_ALONE = 407

export function takesStrict(model: string): boolean {
  return versionOf(model) >= STRICT_TOOLS
}

const LEAST_BUDGET = 1_024
const BUDGETS: Readonly<Record<Effort, number>> = {
  none: 0,
  minimal: 1_024,
  low: 1_024,
  medium: 4_096,
  high: 16_384,
  xhigh: 16_384,
  max: 16_384,
}

/** Fields of thinking, and whether what was asked of it is left out. */
export interface Thinking {
  readonly thinking?: JsonObject
  readonly effort?: string
  readonly isDropped?: boolean
}

/** @param cap of the output: a budget has to leave room below it */
export function thinkingOf(ask: NeutralAsk, model: string, cap: number): Thinking {
  const reasoning = ask.reasoning ?? {}
  const { effort, budgetTokens, dynamic, shown } = reasoning
  if (ownFields(ask.own, new Set()).thinking !== undefined) return given('effort', effort)
  if (effort === undefined && budgetTokens === undefined && !dynamic && !shown) return {}
  const version = versionOf(model)
  if (effort === 'none' || (budgetTokens !== undefined && budgetTokens <= 0)) {
    return version >= THINKING ? { thinking: { type: 'disabled' } } : {}
  }
  const isForced = ask.toolChoice?.kind === 'required' || (ask.toolChoice?.kind === 'tools' && ask.toolChoice.required)
  if (version < THINKING || isForced) return { isDropped: true }
  const display = given('display', shown === undefined ? undefined : shown ? 'summarized' : 'omitted')
  if (version >= ADAPTIVE_ALONE || (version >= ADAPTIVE && budgetTokens === undefined)) {
    return { thinking: { type: 'adaptive', ...display }, ...given('effort', wordOf(reasoning, version)) }
  }
  if (cap <= LEAST_BUDGET || hasUnsignedCalls(ask.messages)) return { isDropped: true }
  const wanted = Math.max(LEAST_BUDGET, budgetTokens ?? BUDGETS[effort ?? 'medium'])
  const thinking = { type: 'enabled', budget_tokens: Math.min(wanted, cap - 1), ...display }
  return { thinking, ...given('effort', budgetTokens === undefined ? undefined : effort) }
}

/** Effort in a word the model knows. */
function wordOf({ effort, budgetTokens }: Reasoning, version: number): string | undefined {
  if (effort === 'minimal') return 'low'
  if (effort === 'xhigh' && version < ADAPTIVE_ALONE) return 'high'
  if (effort !== undefined || budgetTokens === undefined) return effort
  if (budgetTokens <= 2_048) return 'low'
  return budgetTokens <= 8_192 ? 'medium' : 'high'
}

/** True where the last word of the model was a call that no signed thought stands before: a budget is refused after it. */
function hasUnsignedCalls(messages: readonly NeutralMessage[]): boolean {
  const last = messages.findLast(({ role }) => role === 'assistant')
  const call = last?.parts.findIndex(({ kind }) => kind === 'toolCall') ?? -1
  return call >= 0 && !last?.parts.slice(0, call).some((part) => part.kind === 'reasoning' && isSigned(part))
}

/** By Anthropic: what others signed is not sent there. */
function isSigned({ signedIn, signature, redacted }: ReasoningPart): boolean {
  return signedIn === DIALECT && (signature !== undefined || redacted !== undefined)
}

const LEAST_THINKING_TOP_P = 0.95

/** Temperature, top_p and top_k as far as the model takes them; the others are noted, if they are not the usual anyway. */
export function samplingOf(ask: NeutralAsk, model: string, isThinking: boolean, dropped: Set<string>): JsonObject {
  const version = versionOf(model)
  const isFixed = isThinking || version >= ADAPTIVE_ALONE
  const leastTopP = version >= ADAPTIVE_ALONE ? 1 : isThinking ? LEAST_THINKING_TOP_P : 0
  const isEither = version >= STRICT_TOOLS && ask.temperature !== undefined && ask.topP !== undefined
  const topP = isEither && ask.topP === 1 ? undefined : ask.topP
  const asked = isEither && ask.temperature === 1 && topP !== undefined ? undefined : ask.temperature
  const temperature = asked === undefined ? undefined : Math.min(asked, 1)
  const takesTemperature = temperature === undefined || temperature === 1 || !isFixed
  const takesTopP = topP === undefined || (topP >= leastTopP && !(isEither && temperature !== undefined))
  if (temperature !== asked || !takesTemperature) dropped.add('temperature')
  if (!takesTopP) dropped.add('topP')
  if (ask.topK !== undefined && isFixed) dropped.add('topK')
  return {
    ...given('temperature', takesTemperature ? temperature : undefined),
    ...given('top_p', takesTopP ? topP : undefined),
    ...given('top_k', isFixed ? undefined : ask.topK),
  }
}
