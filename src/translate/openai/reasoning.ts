// OpenAI reasoning: reads and writes how much a model should think, in the fields of OpenAI and of compatible servers.

import { EFFORTS, type Effort, type JsonObject, type Reasoning } from '../../core/chat.ts'
import { recordOf } from '../../core/json-values.ts'
import { type ExtrasDraft, isSameJson } from '../dialect-fields.ts'
import { nearestEffort } from '../efforts.ts'
import { OPENAI_RULES } from './target-rules.ts'

/** The hint that tells in which field the request came. */
const FORM_MARK = ''

/** One server's field for reasoning. The writer uses a field other than the first only if the request came with it. */
interface ReasoningForm {
  read(value: unknown): Reasoning
  write(reasoning: Reasoning): unknown
}

/** The readers by the name of the field. */
const REASONING_FORMS: ReadonlyMap<string, ReasoningForm> = new Map([
  [
    'reasoning_effort',
    { read: (value) => ({ ...(isEffort(value) && { effort: value }) }), write: ({ effort }) => effort },
  ],
  // OpenRouter's field.
  [
    'reasoning',
    {
      read: (value) => {
        const { effort, max_tokens: budget, exclude } = recordOf(value)
        return {
          ...(isEffort(effort) && { effort }),
          ...(typeof budget === 'number' && { budgetTokens: budget }),
          ...(typeof exclude === 'boolean' && { shown: !exclude }),
        }
      },
      write: ({ effort, budgetTokens, shown }) => ({
        ...(effort !== undefined && { effort }),
        ...(budgetTokens !== undefined && { max_tokens: budgetTokens }),
        ...(shown !== undefined && { exclude: !shown }),
      }),
    },
  ],
  // Anthropic's field, which LiteLLM, DeepSeek and Z.ai accept.
  [
    'thinking',
    {
      read: (value) => {
        const { type, budget_tokens: budget } = recordOf(value)
        if (type === 'disabled') return { effort: 'none' }
        return typeof budget === 'number' ? { budgetTokens: budget } : { dynamic: true }
      },
      write: ({ effort, budgetTokens }) => {
        if (effort === 'none') return { type: 'disabled' }
        return budgetTokens === undefined ? { type: 'enabled' } : { type: 'enabled', budget_tokens: budgetTokens }
      },
    },
  ],
])

function isEffort(value: unknown): value is Effort {
  return EFFORTS.some((effort) => effort === value)
}

/** Reads the field `name`. Undefined if it could not be restored exactly: then it is kept as a hint. */
export function readReasoning(name: string, value: unknown, extras: ExtrasDraft): Reasoning | undefined {
  const form = REASONING_FORMS.get(name)
  const reasoning = form?.read(value)
  if (!form || !reasoning || !isSameJson(form.write(reasoning), value)) {
    extras.hint(name, value)
    return undefined
  }
  if (name !== 'reasoning_effort') extras.hint(name, FORM_MARK)
  return reasoning
}

const MAX_LOW_BUDGET_TOKENS = 2_048
const MAX_MEDIUM_BUDGET_TOKENS = 8_192
/** Models that cannot think and refuse the field. */
const NEVER_THINKS = /(?:^|\/)(?:gpt-3|gpt-4|chatgpt-4|(?:meta-)?llama|mixtral)/i
/** Models that always think and refuse sampling fields. Routers, whose model names have a slash, handle this themselves. */
export const ALWAYS_THINKS = /^(?:o\d|gpt-5(?:-mini|-nano|-pro|-codex)?(?:-\d{4}|$))/

/** The reasoning field to spread into a request; `{}` if there is none. Adds `reasoning` to `dropped` if the model cannot do it. */
export function writeReasoning(
  reasoning: Reasoning,
  model: string,
  extras: JsonObject,
  dropped: Set<string>,
): JsonObject {
  const { effort, budgetTokens } = reasoning
  for (const [name, form] of REASONING_FORMS) if (extras[name] === FORM_MARK) return { [name]: form.write(reasoning) }
  const levels = OPENAI_RULES.effortsOf(model)
  const budgetEffort = effortOf(budgetTokens)
  const wantedEffort = effort ?? (budgetEffort && levels ? nearestEffort(budgetEffort, levels) : budgetEffort)
  if (wantedEffort === undefined) return {}
  const neverThinks = NEVER_THINKS.test(model)
  const cannotStop = levels?.includes('none') === false
  if (wantedEffort === 'none' ? cannotStop : neverThinks) dropped.add('reasoning')
  else if (!neverThinks) return { reasoning_effort: wantedEffort }
  return {}
}

function effortOf(budgetTokens: number | undefined): Effort | undefined {
  if (budgetTokens === undefined) return undefined
  if (budgetTokens <= MAX_LOW_BUDGET_TOKENS) return 'low'
  return budgetTokens <= MAX_MEDIUM_BUDGET_TOKENS ? 'medium' : 'high'
}
