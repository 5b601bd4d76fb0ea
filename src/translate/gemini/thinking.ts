// Gemini thinking: writes how much a model should think, in the field that its generation accepts.

import type { JsonObject, Reasoning } from '../../core/chat.ts'

/** Which field of thinking a generation of models accepts: none, a budget in tokens, or a level. */
export function thinkingStyleOf(model: string): 'none' | 'budget' | 'level' {
  if (/gemini-1|gemini-2\.0|gemma|-image/.test(model)) return 'none'
  return /gemini-2\.5/.test(model) ? 'budget' : 'level'
}

const LEVEL_BY_EFFORT = {
  none: 'minimal',
  minimal: 'minimal',
  low: 'low',
  medium: 'medium',
  high: 'high',
  xhigh: 'high',
  max: 'high',
}
const BUDGET_TOKENS_BY_EFFORT = {
  none: 0,
  minimal: 512,
  low: 1_024,
  medium: 8_192,
  high: 24_576,
  xhigh: 24_576,
  max: 24_576,
}
/** Lets the model decide. */
const DYNAMIC_BUDGET = -1
const MAX_BUDGET_TOKENS = 24_576
/** Pro models cannot turn thinking off. */
const MIN_PRO_BUDGET_TOKENS = 128
/** Flash Lite models think with at least this, or not at all. */
const MIN_LITE_BUDGET_TOKENS = 512
const MAX_LOW_BUDGET_TOKENS = 2_048
const MAX_MEDIUM_BUDGET_TOKENS = 8_192

/** The field `thinkingConfig`; empty if there is nothing to send. Adds `reasoning` to `dropped` if the model cannot do what it requests. */
export function thinkingConfigOf(reasoning: Reasoning, model: string, dropped: Set<string>): JsonObject {
  const { effort, shown } = reasoning
  const style = thinkingStyleOf(model)
  const isPro = model.includes('-pro')
  if (style === 'none') {
    if (effort !== 'none') dropped.add('reasoning')
    return {}
  }
  if (isPro && effort === 'none') dropped.add('reasoning')
  const minBudget = isPro ? MIN_PRO_BUDGET_TOKENS : model.includes('-lite') ? MIN_LITE_BUDGET_TOKENS : 1
  const amount = style === 'budget' ? budgetField(reasoning, isPro, minBudget) : levelField(reasoning, isPro)
  return { ...amount, ...(shown === undefined ? {} : { includeThoughts: shown }) }
}

/** @param minBudget the fewest tokens of a model that thinks */
function budgetField({ effort, budgetTokens, dynamic }: Reasoning, isPro: boolean, minBudget: number): JsonObject {
  const effortBudget = effort ? BUDGET_TOKENS_BY_EFFORT[effort] : dynamic ? DYNAMIC_BUDGET : undefined
  const budget = budgetTokens === undefined ? effortBudget : Math.min(budgetTokens, MAX_BUDGET_TOKENS)
  if (budget === undefined) return {}
  return { thinkingBudget: budget > 0 || (isPro && budget === 0) ? Math.max(budget, minBudget) : budget }
}

function levelField({ effort, budgetTokens }: Reasoning, isPro: boolean): JsonObject {
  const level = effort ? LEVEL_BY_EFFORT[effort] : budgetTokens === undefined ? undefined : levelOf(budgetTokens)
  if (level === undefined) return {}
  return { thinkingLevel: isPro && level === 'minimal' ? 'low' : level }
}

function levelOf(budgetTokens: number): string {
  if (budgetTokens <= MAX_LOW_BUDGET_TOKENS) return 'low'
  return budgetTokens <= MAX_MEDIUM_BUDGET_TOKENS ? 'medium' : 'high'
}
