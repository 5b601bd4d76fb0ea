// OpenAI chat, reasoning: how much a model is to think, in the words of the servers that copy the API, both ways.

import { EFFORTS, type Effort, type JsonObject, type Reasoning } from '../../core/chat.ts'
import { recordOf } from '../../core/json-values.ts'
import { type ExtrasDraft, isSameJson } from '../dialect-fields.ts'

/** Stands among hints, where the field was. */
const FORM_MARK = ''

/** The ways in which servers take how much to think; those but the first only where they were asked with it. */
interface ReasoningForm {
  read(value: unknown): Reasoning
  write(reasoning: Reasoning): unknown
}

const REASONING_FORMS: ReadonlyMap<string, ReasoningForm> = new Map([
  [
    'reasoning_effort',
    { read: (value) => ({ ...(isEffort(value) && { effort: value }) }), write: ({ effort }) => effort },
  ],
  // OpenRouter.
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
  // Anthropic's, as LiteLLM takes it; DeepSeek and Z.ai.
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

/** @param name of the field; undefined where it could not be put back as it was, and is kept as a hint */
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
/** Models that cannot think, and refuse to be told how much. */
const NEVER_THINKS = /(?:^|\/)(?:gpt-3|gpt-4|chatgpt-4|(?:meta-)?llama|mixtral)/i
/** Models that always think, and refuse what steers sampling; routers, whose names hold a slash, see to that themselves. */
export const ALWAYS_THINKS = /^(?:o\d|gpt-5(?:-mini|-nano|-pro|-codex)?(?:-\d{4}|$))/

/** Empty where nothing is to be said; what the model cannot do is dropped. */
export function writeReasoning(
  reasoning: Reasoning,
  model: string,
  extras: JsonObject,
  dropped: Set<string>,
): JsonObject {
  const { effort, budgetTokens } = reasoning
  for (const [name, form] of REASONING_FORMS) if (extras[name] === FORM_MARK) return { [name]: form.write(reasoning) }
  const asked = effort ?? effortOf(budgetTokens)
  if (asked === undefined) return {}
  const never = NEVER_THINKS.test(model)
  if (asked === 'none' ? ALWAYS_THINKS.test(model) : never) dropped.add('reasoning')
  else if (!never) return { reasoning_effort: asked }
  return {}
}

function effortOf(budgetTokens: number | undefined): Effort | undefined {
  if (budgetTokens === undefined) return undefined
  if (budgetTokens <= MAX_LOW_BUDGET_TOKENS) return 'low'
  return budgetTokens <= MAX_MEDIUM_BUDGET_TOKENS ? 'medium' : 'high'
}
