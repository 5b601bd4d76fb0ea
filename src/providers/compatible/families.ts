// Families: what the templates of open models add to a request, and how they write tools, whichever server runs the model.

import type { QuoteRules } from '../../core/quote.ts'

type FamilyRules = Partial<
  Pick<QuoteRules, 'tokensPerCall' | 'tokensWithTools' | 'capCoversReasoning' | 'toolGrowthFactor' | 'indentsTools'>
>

/**
 * Counted with the templates that are published, November 2026: the prompt of Devstral Small has 1,190 tokens, GigaChat3's 982,
 * Command R7B's 535 and with a tool 1,274, Mistral Small 3.2's 501, Command R+'s 498, SmolLM3's 243, MiniMax-M3's 207 and with a tool
 * 512, Hermes' 191. Llama 3 and Granite 3 write tools with four spaces for each level: 5.2 times the bytes of a long list at 240
 * levels. MiniMax-M3 makes an XML element of each value in a call, four times its bytes. Apriel writes tools as Python does, and an
 * invisible character as up to four times its bytes; Functionary escapes quotes as HTML does. Qwen 3 Coder, Nemotron 3 and Seed-OSS
 * write up to 1.5 times the bytes of a parameter that says nothing about itself, Command R+ 1.4 times. Grok is behind a prompt of
 * xAI's, and its reasoning is not capped. Claude has a prompt of its own for tools. Every family that matches counts.
 */
const FAMILIES: readonly (readonly [RegExp, FamilyRules])[] = [
  [/llama-?3|granite-3/, { toolGrowthFactor: 3, indentsTools: true, tokensWithTools: 256 }],
  [/llama-?4/, { tokensWithTools: 256 }],
  [/devstral|magistral|gigachat/, { tokensPerCall: 1_280 }],
  [/mistral-small|mistral-medium|ministral/, { tokensPerCall: 640 }],
  [/command-/, { tokensPerCall: 640, tokensWithTools: 1_280 }],
  [/minimax|smollm|hermes|solar|muse/, { tokensPerCall: 320, tokensWithTools: 640 }],
  [/grok/, { tokensPerCall: 1_536, tokensWithTools: 512, capCoversReasoning: false }],
  [/apriel|minimax-m3|functionary/, { toolGrowthFactor: 4 }],
  [/qwen-?3.*coder|nemotron-3|seed-oss|command-r-plus/, { toolGrowthFactor: 2 }],
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
    tokensWithTools: Math.max(rules.tokensWithTools, family.tokensWithTools ?? 0),
    toolGrowthFactor: Math.max(rules.toolGrowthFactor ?? 1, family.toolGrowthFactor ?? 1),
    indentsTools: rules.indentsTools === true || family.indentsTools === true,
    capCoversReasoning: rules.capCoversReasoning && family.capCoversReasoning !== false,
  }
}
