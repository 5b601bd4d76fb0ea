// Chat usage: the counts of a chat completion, in OpenAI's fields and in those of servers that copy its API, as usage.

import { recordOf } from '../../core/json-values.ts'
import { areCredibleCounts, countOf, type UnitsByClass, usageOf } from '../../core/usage.ts'
import type { AnswerUsage } from '../dialect.ts'
import type { JsonCursor } from '../json/cursor.ts'
import { type FieldHandlers, handlersFor, ObjectReader } from '../json/object-reader.ts'
import { readStatedCost, STATED_COST_FIELDS } from '../stated-cost.ts'
import { mergeReports } from '../usage-reports.ts'
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
  // Mistral; xAI; Perplexity; OpenRouter.
  'prompt_audio_seconds',
  'num_sources_used',
  'citation_tokens',
  'num_search_queries',
  'reasoning_tokens',
  'server_tool_use_details',
] as const

type Others = Readonly<Partial<Record<(typeof OTHER_FIELDS)[number], unknown>>>

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
 * Undefined if nothing is counted, or no figure can be right.
 */
export function chatUsageOf(
  counts: ChatCounts,
  model: string | null,
  serviceTier: string | null,
  executed?: ExecutedTools,
): AnswerUsage | undefined {
  const others: Others = counts.others ?? {}
  const promptCount = counts.prompt ?? others.input_tokens
  const completionCount = counts.completion ?? others.output_tokens
  const statedCost = counts.others && readStatedCost(counts.others)
  if (!areCredibleCounts([promptCount, completionCount, counts.total])) return undefined
  const prompt = countOf(promptCount)
  const completion = countOf(completionCount)
  const cached = Math.max(
    countOf(counts.cached),
    countOf(others.cached_tokens),
    countOf(others.prompt_cache_hit_tokens),
  )
  const cacheRead = Math.min(cached, prompt)
  const written = Math.min(countOf(counts.cacheWritten), prompt - cacheRead)
  const cacheWrite12h = Math.min(countOf(counts.cacheWritten12h), written)
  const audio = countOf(counts.audioInput)
  const audioSeconds = countOf(others.prompt_audio_seconds)
  const missing = Math.max(0, countOf(counts.total) - prompt - completion)
  const beside = audioSeconds > 0 ? 0 : missing
  const reasoning = countOf(counts.reasoning)
  const unnamed = Math.max(0, beside - reasoning)
  const audioBeside = audio > prompt || audio === unnamed ? Math.min(audio, unnamed) : 0
  const reasoningBeside = beside - audioBeside
  const audioInside = Math.min(audio - audioBeside, prompt - cacheRead - written)
  const audioOutput = Math.min(countOf(counts.audioOutput), completion)
  const extras = extrasIn(others, executed)
  const isTotalAlone = prompt === 0 && completion === 0 && missing > 0
  return {
    usage: usageOf({
      input: prompt - cacheRead - written - audioInside,
      cacheRead,
      cacheWrite5m: written - cacheWrite12h,
      cacheWrite12h,
      audioInput: audioInside + audioBeside,
      audioSeconds,
      output: completion - audioOutput + reasoningBeside,
      audioOutput,
      citations: countOf(others.citation_tokens),
      reasoningBeside: countOf(others.reasoning_tokens),
      sources: countOf(others.num_sources_used),
      ...extras.units,
      requests: 1,
    }),
    ...(extras.areListed ? { listsExtras: true } : {}),
    ...(others.num_sources_used === undefined ? {} : { countsSources: true }),
    ...(extras.unmetered.length > 0 ? { unmetered: extras.unmetered } : {}),
    ...(statedCost ? { statedCost } : {}),
    ...(isTotalAlone ? { isUpperBound: true } : {}),
    reasoningTokens: Math.max(reasoning, reasoningBeside, countOf(others.reasoning_tokens)),
    model,
    serviceTier,
  }
}

interface Extras {
  readonly units: UnitsByClass
  readonly areListed: boolean
  readonly unmetered: readonly string[]
}

/** What hosted tools did: Perplexity counts queries, OpenRouter and xAI the calls of tools, and Groq lists each. */
function extrasIn(others: Others, executed: ExecutedTools | undefined): Extras {
  const { num_search_queries, server_tool_use_details } = others
  const { web_search_requests, tool_calls_executed } = recordOf(server_tool_use_details)
  const xai = readXaiTools(others)
  const requested = countOf(web_search_requests)
  const { webSearches = 0, ...units } = xai?.units ?? {}
  return {
    units: {
      ...units,
      webSearches: Math.max(webSearches, countOf(num_search_queries), requested, executed?.searches.size ?? 0),
      pageVisits: executed?.visits.size ?? 0,
    },
    areListed:
      num_search_queries !== undefined ||
      server_tool_use_details !== undefined ||
      xai !== undefined ||
      executed?.isListed === true,
    unmetered: [
      ...(countOf(tool_calls_executed) > requested ? ['tool_calls_executed'] : []),
      ...(xai?.unmetered ?? []),
      ...(executed?.others ?? []),
    ],
  }
}
