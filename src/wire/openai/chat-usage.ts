// Chat usage: the counts of a chat completion, in OpenAI's fields and in those of servers that copy its API, as usage.

import { recordOf } from '../../core/json-values.ts'
import { countOf, isCount, type UnitsByClass, usageOf } from '../../core/usage.ts'
import type { AnswerUsage, ExtrasField } from '../dialect.ts'
import type { JsonCursor } from '../json/cursor.ts'
import { type FieldHandlers, handlersFor, ObjectReader } from '../json/object-reader.ts'
import { readStatedCost, STATED_COST_FIELDS } from '../stated-cost.ts'
import { mergeReports, saysSomething, tokensBeside, useCountOf } from '../usage-reports.ts'
import type { ExecutedTools } from './executed-tools.ts'
import { readXaiTools, XAI_TOOL_FIELDS } from './xai-tools.ts'

/** The figures of one answer, as they came. */
export interface ChatCounts {
  prompt: unknown
  completion: unknown
  total: unknown
  cached: unknown
  cacheWritten: unknown
  /** The part of it that is kept for twelve hours. */
  cacheWritten12h: unknown
  audioInput: unknown
  reasoning: unknown
  audioOutput: unknown
  /** Fields that OpenAI does not have, by name. Undefined for most answers. */
  others: Record<string, unknown> | undefined
}

const OTHER_FIELDS = [
  ...STATED_COST_FIELDS,
  ...XAI_TOOL_FIELDS,
  // The words of other dialects.
  'input_tokens',
  'output_tokens',
  // Moonshot and Together; DeepSeek.
  'cached_tokens',
  'prompt_cache_hit_tokens',
  // LiteLLM, for Claude.
  'cache_creation_input_tokens',
  'cache_read_input_tokens',
  // Mistral; xAI; Perplexity; OpenRouter.
  'prompt_audio_seconds',
  'num_sources_used',
  'citation_tokens',
  'num_search_queries',
  'reasoning_tokens',
  'server_tool_use_details',
] as const

type Others = Readonly<Partial<Record<(typeof OTHER_FIELDS)[number], unknown>>>

const NO_OTHERS: Others = {}

const COUNTS = ObjectReader.exact<ChatCounts>({
  prompt_tokens(json, counts) {
    counts.prompt = json.numberValue()
  },
  completion_tokens(json, counts) {
    counts.completion = json.numberValue()
  },
  total_tokens(json, counts) {
    counts.total = json.numberValue()
  },
  prompt_tokens_details(json, counts) {
    counts.cached = counts.cacheWritten = counts.cacheWritten12h = counts.audioInput = undefined
    readDetails(json, PROMPT_DETAILS, counts)
  },
  completion_tokens_details(json, counts) {
    counts.reasoning = counts.audioOutput = undefined
    readDetails(json, COMPLETION_DETAILS, counts)
  },
  ...(handlersFor(OTHER_FIELDS, readOther) as FieldHandlers<ChatCounts>),
})

function readOther(json: JsonCursor, counts: ChatCounts, _context: unknown, name: string): void {
  counts.others ??= {}
  counts.others[name] = json.value()
}

const PROMPT_DETAILS = ObjectReader.exact<ChatCounts>({
  cached_tokens(json, counts) {
    counts.cached = json.numberValue()
  },
  cache_write_tokens(json, counts) {
    counts.cacheWritten = json.numberValue()
  },
  cache_write_tokens_details(json, counts) {
    counts.cacheWritten12h = undefined
    readDetails(json, CACHE_WRITE_DETAILS, counts)
  },
  audio_tokens(json, counts) {
    counts.audioInput = json.numberValue()
  },
})

const CACHE_WRITE_DETAILS = ObjectReader.exact<ChatCounts>({
  ttl_12h_tokens(json, counts) {
    counts.cacheWritten12h = json.numberValue()
  },
})

const COMPLETION_DETAILS = ObjectReader.exact<ChatCounts>({
  reasoning_tokens(json, counts) {
    counts.reasoning = json.numberValue()
  },
  audio_tokens(json, counts) {
    counts.audioOutput = json.numberValue()
  },
})

/** Throws on figures that JSON.parse would not read: a usage object that is broken reports nothing. */
function readDetails(json: JsonCursor, details: ObjectReader<ChatCounts>, counts: ChatCounts): void {
  if (json.isObject()) details.read(json, counts)
  else json.value()
}

/** Null for anything but an object. Throws as `readDetails` does. */
export function readCounts(json: JsonCursor): ChatCounts | null {
  if (!json.isObject()) {
    json.value()
    return null
  }
  const counts: ChatCounts = {
    prompt: undefined,
    completion: undefined,
    total: undefined,
    cached: undefined,
    cacheWritten: undefined,
    cacheWritten12h: undefined,
    audioInput: undefined,
    reasoning: undefined,
    audioOutput: undefined,
    others: undefined,
  }
  COUNTS.read(json, counts)
  return counts
}

/** Both reports of one answer: of each count the larger. */
export function mergeCounts(earlier: ChatCounts | undefined, later: ChatCounts): ChatCounts {
  return earlier ? ({ ...mergeReports({ ...earlier }, { ...later }) } as unknown as ChatCounts) : later
}

/**
 * OpenAI's counts include their parts; the classes of `Usage` are disjoint. Parts that exceed their total are reduced to it.
 *
 * Tokens that are in the total and in neither half were used as well. They are audio if the audio is larger than its half
 * could hold, or is all that is missing; nothing if sound is billed by the second (Voxtral). Otherwise they are reasoning, named
 * (xAI) or not (Gemini's OpenAI endpoint). With a total alone, nothing says which half is which: all counts as output.
 *
 * Undefined if nothing is counted and no cost is stated, or no figure can be right.
 */
export function chatUsageOf(
  counts: ChatCounts,
  model: string | null,
  serviceTier: string | null,
  executed?: ExecutedTools,
): AnswerUsage | undefined {
  const others: Others = counts.others ?? NO_OTHERS
  const completionCount = counts.completion ?? others.output_tokens
  const figures = [counts.prompt ?? others.input_tokens, completionCount, counts.total]
  const statedCost = counts.others && readStatedCost(counts.others)
  if (!saysSomething(figures, statedCost)) return undefined
  const prompt = promptOf(counts, others)
  const completion = countOf(completionCount)
  const audio = countOf(counts.audioInput)
  const audioSeconds = useCountOf(others.prompt_audio_seconds) ?? 0
  const reasoning = countOf(counts.reasoning)
  const missing = tokensBeside(countOf(counts.total), prompt.all, completion, reasoning)
  const beside = audioSeconds > 0 ? 0 : missing
  const unnamed = Math.max(0, beside - reasoning)
  const audioBeside = audio > prompt.all || audio === unnamed ? Math.min(audio, unnamed) : 0
  const reasoningBeside = beside - audioBeside
  const audioInside = Math.min(audio - audioBeside, prompt.uncached)
  const audioOutput = Math.min(countOf(counts.audioOutput), completion)
  const extras = counts.others || executed ? extrasIn(others, executed) : NO_EXTRAS
  const isTotalAlone = prompt.all === 0 && completion === 0 && missing > 0
  const isNothingCounted = prompt.all === 0 && completion === 0 && missing === 0
  const isOutputMissing = isNothingCounted || (!isCount(completionCount) && reasoningBeside === 0)
  const namedReasoning = useCountOf(others.reasoning_tokens) ?? 0
  return {
    usage: usageOf({
      ...prompt.cached,
      input: prompt.uncached - audioInside,
      audioInput: audioInside + audioBeside,
      audioSeconds,
      output: completion - audioOutput + reasoningBeside,
      audioOutput,
      citations: useCountOf(others.citation_tokens) ?? 0,
      reasoningBeside: namedReasoning,
      ...extras.units,
      requests: 1,
    }),
    ...(extras.fields.length > 0 ? { extrasFields: extras.fields } : {}),
    ...(extras.unmetered.length > 0 ? { unmetered: extras.unmetered } : {}),
    ...(statedCost ? { statedCost } : {}),
    ...(isTotalAlone ? { isUpperBound: true } : {}),
    ...(isOutputMissing ? { isOutputMissing } : {}),
    reasoningTokens: Math.max(reasoning, reasoningBeside, namedReasoning),
    model,
    serviceTier,
  }
}

interface Prompt {
  readonly all: number
  readonly uncached: number
  readonly cached: UnitsByClass
}

/** The classes of the prompt. Some servers count Claude's cache beside the prompt: the prompt cannot hold that much. */
function promptOf(counts: ChatCounts, others: Others): Prompt {
  const reported = countOf(counts.prompt ?? others.input_tokens)
  const claudeRead = countOf(others.cache_read_input_tokens)
  const claudeWritten = countOf(others.cache_creation_input_tokens)
  const claude = claudeRead + claudeWritten
  const all = claude > reported ? reported + claude : reported
  const cached = Math.max(
    countOf(counts.cached),
    countOf(others.cached_tokens),
    countOf(others.prompt_cache_hit_tokens),
  )
  const cacheRead = Math.min(Math.max(cached, claudeRead), all)
  const written = Math.min(Math.max(countOf(counts.cacheWritten), claudeWritten), all - cacheRead)
  const cacheWrite12h = Math.min(countOf(counts.cacheWritten12h), written)
  return {
    all,
    uncached: all - cacheRead - written,
    cached: { cacheRead, cacheWrite5m: written - cacheWrite12h, cacheWrite12h },
  }
}

interface Extras {
  readonly units: UnitsByClass
  readonly fields: readonly ExtrasField[]
  readonly unmetered: readonly string[]
}

const NO_EXTRAS: Extras = { units: {}, fields: [], unmetered: [] }

/** What hosted tools did: Perplexity counts queries, OpenRouter and xAI the calls of tools, and Groq lists each. */
function extrasIn(others: Others, executed: ExecutedTools | undefined): Extras {
  const { web_search_requests, tool_calls_executed } = recordOf(others.server_tool_use_details)
  const xai = readXaiTools(others)
  const queries = useCountOf(others.num_search_queries)
  const requested = useCountOf(web_search_requests)
  const sources = useCountOf(others.num_sources_used)
  const { webSearches = 0, ...units } = xai?.units ?? {}
  const fields: Readonly<Record<ExtrasField, boolean>> = {
    executed_tools: executed?.isListed === true,
    num_search_queries: queries !== undefined && hasReadableParts(others),
    num_sources_used: sources !== undefined,
    server_side_tool_usage_details: xai !== undefined,
    server_tool_use_details: requested !== undefined,
  }
  return {
    units: {
      ...units,
      sources: sources ?? 0,
      webSearches: Math.max(webSearches, queries ?? 0, requested ?? 0, executed?.searches.size ?? 0),
      pageVisits: executed?.visits.size ?? 0,
    },
    fields: (Object.keys(fields) as ExtrasField[]).filter((field) => fields[field]),
    unmetered: [
      ...((useCountOf(tool_calls_executed) ?? 0) > (requested ?? 0) ? ['tool_calls_executed'] : []),
      ...(xai?.unmetered ?? []),
      ...(executed?.others ?? []),
    ],
  }
}

/** False if Perplexity names citations or reasoning without a figure for them. */
function hasReadableParts({ citation_tokens, reasoning_tokens }: Others): boolean {
  return [citation_tokens, reasoning_tokens].every((part) => part === undefined || useCountOf(part) !== undefined)
}
