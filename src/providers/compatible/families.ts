// Families: what the templates of open models add to a request, and how they write tools, whichever server runs the model.

import type { QuoteRules } from '../../core/quote.ts'

type FamilyRules = Partial<
  Pick<
    QuoteRules,
    | 'tokensPerCall'
    | 'tokensPerMessage'
    | 'tokensWithTools'
    | 'tokensPerArgument'
    | 'spacesTools'
    | 'capCoversReasoning'
    | 'toolGrowthFactor'
    | 'indentsTools'
  >
>

/**
 * Many templates write each argument of a call between tags. Counted with the templates that are published and a vocabulary that
 * does not know the tags, November 2026: Hunyuan 3 writes `{"a":1}` in 26 tokens, DeepSeek V3.2 in 22, GLM 4.6 in 18, and the bytes
 * with their separators are ten. The family of a model is often not known from its name, so that all have the allowance.
 */
export const MAX_TOKENS_PER_ARGUMENT = 24

/**
 * Counted with the templates that are published, November 2026: the prompt of Devstral Small has 1,190 tokens, GigaChat3's 982,
 * Command R7B's 535 and with a tool 1,274, Mistral Small 3.2's 501, Command R+'s 498, SmolLM3's 243, MiniMax-M3's 207 and with a tool
 * 512, Hermes' 191; with reasoning switched on, Granite 3.3's 178, and Bielik's with a tool 417. Apriel puts its own prompt before each
 * system prompt, up to 67 tokens.
 *
 * Llama 3 and Granite 3 write tools with four spaces for each level: 5.2 times the bytes of a long list at 240 levels; so does Command
 * R+ with the arguments of calls. MiniMax-M3 makes an XML element of each value in a call, four times its bytes. Apriel writes tools as
 * Python does, and an invisible character as up to four times its bytes; Functionary escapes quotes as HTML does. Qwen 3 Coder,
 * Nemotron 3 and Seed-OSS write up to 1.5 times the bytes of a parameter that says nothing about itself, Command R+ 1.4 times.
 * GigaChat3 writes each line of a description as a comment, four tokens for three bytes.
 *
 * Grok is behind a prompt of xAI's, and its reasoning is not capped. Claude has a prompt of its own for tools. Every family that
 * matches counts.
 */
const FAMILIES: readonly (readonly [RegExp, FamilyRules])[] = [
  // Also where the server writes those of OpenAI's models as they came: Azure serves these too.
  [
    /deepseek|glm|hunyuan|hy-?3|kimi|laguna|ling-|llama|minimax|mistral|qwen|spark|step-?\d|stepfun|grok|command-/,
    { tokensPerArgument: MAX_TOKENS_PER_ARGUMENT, spacesTools: true },
  ],
  [/llama-?3|granite-3/, { toolGrowthFactor: 3, indentsTools: true, tokensWithTools: 256 }],
  [/llama-?4/, { tokensWithTools: 256 }],
  [/devstral|magistral|gigachat/, { tokensPerCall: 1_280 }],
  [/gigachat/, { toolGrowthFactor: 2 }],
  [/granite/, { tokensPerCall: 256 }],
  [/bielik/, { tokensWithTools: 512 }],
  [/mistral-small|mistral-medium|ministral/, { tokensPerCall: 640 }],
  [/command-/, { tokensPerCall: 640, tokensWithTools: 1_280 }],
  [/minimax|smollm|hermes|solar|muse/, { tokensPerCall: 320, tokensWithTools: 640 }],
  [/grok/, { tokensPerCall: 1_536, tokensWithTools: 512, capCoversReasoning: false }],
  [/apriel|minimax-m3|functionary/, { toolGrowthFactor: 4 }],
  [/apriel/, { tokensPerMessage: 64 }],
  [/qwen-?3.*coder|nemotron-3|seed-oss|command-r-plus/, { toolGrowthFactor: 2 }],
  [/command-r-plus/, { indentsTools: true }],
  [/claude/, { tokensWithTools: 1_000 }],
]

/**
 * The rules of an endpoint for one of its models: of each figure the larger.
 * @param isVendor the endpoint is the vendor's own, so that its row knows whether the cap covers reasoning
 */
export function rulesForModel(rules: QuoteRules, model: string, isVendor: boolean): QuoteRules {
  const name = model.toLowerCase()
  let ruled = rules
  for (const [pattern, family] of FAMILIES) if (pattern.test(name)) ruled = withFamily(ruled, family)
  return isVendor ? { ...ruled, capCoversReasoning: rules.capCoversReasoning } : ruled
}

function withFamily(rules: QuoteRules, family: FamilyRules): QuoteRules {
  return {
    ...rules,
    tokensPerCall: Math.max(rules.tokensPerCall, family.tokensPerCall ?? 0),
    tokensPerMessage: Math.max(rules.tokensPerMessage, family.tokensPerMessage ?? 0),
    tokensWithTools: Math.max(rules.tokensWithTools, family.tokensWithTools ?? 0),
    tokensPerArgument: Math.max(rules.tokensPerArgument ?? 0, family.tokensPerArgument ?? 0),
    spacesTools: rules.spacesTools === true || family.spacesTools === true,
    toolGrowthFactor: Math.max(rules.toolGrowthFactor ?? 1, family.toolGrowthFactor ?? 1),
    indentsTools: rules.indentsTools === true || family.indentsTools === true,
    capCoversReasoning: rules.capCoversReasoning && family.capCoversReasoning !== false,
  }
}
