// Anthropic models: which thinking and sampling fields each generation of models accepts. The model's name tells its generation.

import type {
  ChatMessage,
  ChatRequest,
  Effort,
  Extras,
  JsonObject,
  Reasoning,
  ReasoningPart,
  ToolChoice,
} from '../../core/chat.ts'
import { DIALECT, optionalField } from './dialect-fields.ts'

/** Models from one version on. */
interface ModelGeneration {
  /** The first version, as `versionOf` returns it. */
  readonly since: number
  /** Which thinking the models accept: none, a budget in tokens, an effort that the model adapts, or either of the two. */
  readonly thinking: 'none' | 'budget' | 'budgetOrAdaptive' | 'adaptive'
  /** Which sampling the models accept: `temperature` and `top_p` freely, one of the two, or only the defaults. */
  readonly sampling: 'free' | 'one' | 'fixed'
  readonly hasStrictTools: boolean
  readonly hasXhighEffort: boolean
}

/** The first generation. */
const CLAUDE_1: ModelGeneration = {
  since: 0,
  thinking: 'none',
  sampling: 'free',
  hasStrictTools: false,
  hasXhighEffort: false,
}

/** The newest first. */
const GENERATIONS: readonly ModelGeneration[] = [
  { since: 407, thinking: 'adaptive', sampling: 'fixed', hasStrictTools: true, hasXhighEffort: true },
  { since: 406, thinking: 'budgetOrAdaptive', sampling: 'one', hasStrictTools: true, hasXhighEffort: false },
  { since: 401, thinking: 'budget', sampling: 'one', hasStrictTools: true, hasXhighEffort: false },
  { since: 307, thinking: 'budget', sampling: 'free', hasStrictTools: false, hasXhighEffort: false },
]

const VERSION = /claude-(?:[a-z]+-)?(\d{1,2})(?:[-.](\d{1,2}))?(?!\d)/

/** 406 for `claude-opus-4-6`. A name without a version counts as the newest. */
function versionOf(model: string): number {
  const [, major, minor = '0'] = VERSION.exec(model) ?? []
  return major === undefined ? Number.POSITIVE_INFINITY : Number(major) * 100 + Number(minor)
}

function generationOf(model: string): ModelGeneration {
  const version = versionOf(model)
  return GENERATIONS.find(({ since }) => version >= since) ?? CLAUDE_1
}

export function supportsStrictTools(model: string): boolean {
  return generationOf(model).hasStrictTools
}

/** The levels of effort that the model accepts; undefined if it thinks by a budget, or not at all. */
export function effortsOf(model: string): readonly Effort[] | undefined {
  const { thinking, hasXhighEffort } = generationOf(model)
  if (thinking === 'none' || thinking === 'budget') return undefined
  return hasXhighEffort ? ['none', 'low', 'medium', 'high', 'xhigh', 'max'] : ['none', 'low', 'medium', 'high', 'max']
}

/** Whether the model must call a tool. */
export function isForced(choice: ToolChoice | undefined): boolean {
  return choice?.kind === 'required' || (choice?.kind === 'tools' && choice.required)
}

/** The thinking fields of a written request. */
interface ThinkingFields {
  readonly thinking?: JsonObject
  readonly effort?: string
  /** True: the caller requested thinking, and the model cannot do it for this request. */
  readonly isDropped?: boolean
}

/** @param cap the request's maximum of output tokens: a budget has to be smaller */
export function thinkingOf(request: ChatRequest, model: string, cap: number): ThinkingFields {
  const { reasoning = {} } = request
  const generation = generationOf(model)
  if (hasOriginalThinking(request.extras)) return optionalField('effort', reasoning.effort)
  if (isUnset(reasoning)) return {}
  if (isOff(reasoning)) return generation.thinking === 'none' ? {} : { thinking: { type: 'disabled' } }
  if (generation.thinking === 'none' || isForced(request.toolChoice)) return { isDropped: true }
  const isAdaptive =
    generation.thinking === 'adaptive' ||
    (generation.thinking === 'budgetOrAdaptive' && reasoning.budgetTokens === undefined)
  return isAdaptive ? adaptiveThinking(reasoning, generation) : budgetThinking(request.messages, reasoning, cap)
}

/** Whether the reader kept the field `thinking` as it is, which includes an explicit absence. */
function hasOriginalThinking(extras: Extras | undefined): boolean {
  return extras?.dialect === DIALECT && { ...extras.hints, ...extras.needs }.thinking !== undefined
}

function isUnset({ effort, budgetTokens, dynamic, shown }: Reasoning): boolean {
  return effort === undefined && budgetTokens === undefined && !dynamic && !shown
}

function isOff({ effort, budgetTokens }: Reasoning): boolean {
  return effort === 'none' || (budgetTokens !== undefined && budgetTokens <= 0)
}

function adaptiveThinking(reasoning: Reasoning, generation: ModelGeneration): ThinkingFields {
  const thinking = { type: 'adaptive', ...displayOf(reasoning) }
  return { thinking, ...optionalField('effort', effortOf(reasoning, generation)) }
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

function budgetThinking(messages: readonly ChatMessage[], reasoning: Reasoning, cap: number): ThinkingFields {
  if (cap <= MIN_BUDGET_TOKENS || hasUnsignedCalls(messages)) return { isDropped: true }
  const { effort, budgetTokens } = reasoning
  const wanted = Math.max(MIN_BUDGET_TOKENS, budgetTokens ?? BUDGET_TOKENS_BY_EFFORT[effort ?? 'medium'])
  const thinking = { type: 'enabled', budget_tokens: Math.min(wanted, cap - 1), ...displayOf(reasoning) }
  return { thinking, ...optionalField('effort', budgetTokens === undefined ? undefined : effort) }
}

function displayOf({ shown }: Reasoning): JsonObject {
  return optionalField('display', shown === undefined ? undefined : shown ? 'summarized' : 'omitted')
}

const MAX_LOW_BUDGET_TOKENS = 2_048
const MAX_MEDIUM_BUDGET_TOKENS = 8_192

/** The effort as a level that the model knows. */
function effortOf({ effort, budgetTokens }: Reasoning, generation: ModelGeneration): string | undefined {
  if (effort === 'minimal') return 'low'
  if (effort === 'xhigh' && !generation.hasXhighEffort) return 'high'
  if (effort !== undefined || budgetTokens === undefined) return effort
  if (budgetTokens <= MAX_LOW_BUDGET_TOKENS) return 'low'
  return budgetTokens <= MAX_MEDIUM_BUDGET_TOKENS ? 'medium' : 'high'
}

/** Whether the model's last message has a tool call without signed thoughts before it. Anthropic then refuses a budget. */
function hasUnsignedCalls(messages: readonly ChatMessage[]): boolean {
  const last = messages.findLast(({ role }) => role === 'assistant')
  const call = last?.parts.findIndex(({ kind }) => kind === 'toolCall') ?? -1
  return call >= 0 && !last?.parts.slice(0, call).some((part) => part.kind === 'reasoning' && isSigned(part))
}

/** Whether Anthropic signed the thoughts. Other signatures are not sent to Anthropic. */
function isSigned({ signedIn, signature, redacted }: ReasoningPart): boolean {
  return signedIn === DIALECT && (signature !== undefined || redacted !== undefined)
}

/** The highest that Anthropic accepts; also the default. */
const MAX_TEMPERATURE = 1
const DEFAULT_TOP_P = 1
const MIN_THINKING_TOP_P = 0.95

/** The sampling fields that the model accepts. Adds the names of the others to `dropped`, unless they have their defaults anyway. */
export function samplingOf(request: ChatRequest, model: string, isThinking: boolean, dropped: Set<string>): JsonObject {
  const { sampling } = generationOf(model)
  const isFixed = isThinking || sampling === 'fixed'
  const minTopP = sampling === 'fixed' ? DEFAULT_TOP_P : isThinking ? MIN_THINKING_TOP_P : 0
  const { temperature, topP } = sampling === 'free' ? request : withoutOneDefault(request)
  const capped = temperature === undefined ? undefined : Math.min(temperature, MAX_TEMPERATURE)
  const isTopPExcluded = sampling !== 'free' && temperature !== undefined
  const sentTemperature = isFixed && capped !== MAX_TEMPERATURE ? undefined : capped
  const sentTopP = topP === undefined || topP < minTopP || isTopPExcluded ? undefined : topP
  const sentTopK = isFixed ? undefined : request.topK
  if (sentTemperature !== temperature) dropped.add('temperature')
  if (sentTopP !== topP) dropped.add('topP')
  if (sentTopK !== request.topK) dropped.add('topK')
  return {
    ...optionalField('temperature', sentTemperature),
    ...optionalField('top_p', sentTopP),
    ...optionalField('top_k', sentTopK),
  }
}

/** If both are set, leaves out the one with its default value, so that models that accept one of them get the other. */
function withoutOneDefault({ temperature, topP }: ChatRequest): Pick<ChatRequest, 'temperature' | 'topP'> {
  if (temperature === undefined || topP === undefined)
    return { ...optionalField('temperature', temperature), ...optionalField('topP', topP) }
  if (topP === DEFAULT_TOP_P) return { temperature }
  return temperature === MAX_TEMPERATURE ? { topP } : { temperature, topP }
}
