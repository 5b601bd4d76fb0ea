// Cells: the table of who asks whom for what, and what comes of it.

import { CALLERS, type Caller } from './callers.ts'

export const FEATURES = ['text', 'tools', 'parallel', 'image', 'schema', 'thought', 'json', 'several'] as const
export type Feature = (typeof FEATURES)[number]
export const FAILURES = ['refusal', 'broken'] as const
export type Failure = (typeof FAILURES)[number]

/**
 * What comes of a call, whole and streamed. `ok`: answered. `shown`: with what the model thinks; `hidden`: it thinks, and does
 * not show it. `-name`: answered, and the name stands in `x-bursar-dropped`. `!name`: refused with 400, naming the field. A
 * dot: there are no words for it, or nothing could come of it. Of failures, the class that the SDK raises.
 */
const TABLE = `
                          text  tools  parallel  image  schema  thought  json                                several                           refusal                         broken
  openai > openai         ok    ok     ok        ok     ok      hidden   ok                                  ok                                RateLimitError                  APIError
  openai > anthropic      ok    ok     ok        ok     ok      shown    !response_format                    !n                                RateLimitError                  APIError
  openai > gemini         ok    ok     ok        ok     ok      hidden   ok                                  ok                                RateLimitError                  APIError
  openai > compatible     ok    ok     ok        ok     ok      shown    ok                                  ok                                RateLimitError                  APIError
  openai > simulated      ok    ok     ok        ok     ok      ok       ok                                  .                                 RateLimitError                  APIError
  anthropic > openai      ok    ok     ok        ok     ok      hidden   .                                   .                                 EnforcedSpendLimitReachedError  APIError
  anthropic > anthropic   ok    ok     ok        ok     ok      shown    .                                   .                                 EnforcedSpendLimitReachedError  APIError
  anthropic > gemini      ok    ok     ok        ok     ok      hidden   .                                   .                                 EnforcedSpendLimitReachedError  APIError
  anthropic > compatible  ok    ok     ok        ok     ok      shown    .                                   .                                 EnforcedSpendLimitReachedError  APIError
  anthropic > simulated   ok    ok     ok        ok     ok      ok       .                                   .                                 EnforcedSpendLimitReachedError  APIError
  gemini > openai         ok    ok     ok        ok     ok      hidden   ok                                  ok                                ApiError                        ApiError
  gemini > anthropic      ok    ok     ok        ok     ok      shown    !generationConfig.responseMimeType  !generationConfig.candidateCount  ApiError                        ApiError
  gemini > gemini         ok    ok     ok        ok     ok      shown    ok                                  ok                                ApiError                        ApiError
  gemini > compatible     ok    ok     ok        ok     ok      shown    ok                                  ok                                ApiError                        ApiError
  gemini > simulated      ok    ok     ok        ok     ok      ok       ok                                  .                                 ApiError                        ApiError
`

export const UPSTREAM_NAMES = ['openai', 'anthropic', 'gemini', 'compatible', 'simulated'] as const
export type UpstreamName = (typeof UPSTREAM_NAMES)[number]

export interface Cell {
  readonly caller: Caller
  readonly out: UpstreamName
  readonly what: Feature | Failure
  readonly outcome: string
}

export const CELLS: readonly Cell[] = parseTable(TABLE)

function parseTable(table: string): Cell[] {
  const [header = [], ...rows] = table
    .trim()
    .split('\n')
    .map((line) => line.trim().split(/\s{2,}/))
  return rows.flatMap(([ways = '', ...outcomes]) => {
    const [from, to] = ways.split(/\s*>\s*/)
    const caller = CALLERS.find(({ name }) => name === from)
    const out = UPSTREAM_NAMES.find((name) => name === to)
    if (!caller || !out || outcomes.length !== header.length) throw new Error(`no row: ${ways}`)
    return outcomes.map((outcome, at) => ({ caller, out, what: whatOf(header[at]), outcome }))
  })
}

function whatOf(name: string | undefined): Feature | Failure {
  const what = [...FEATURES, ...FAILURES].find((one) => one === name)
  if (!what) throw new Error(`no column: ${name}`)
  return what
}

/** Who is asked for it. */
export function modelOf(out: UpstreamName, what: Feature | Failure): string {
  switch (out) {
    case 'openai':
      return what === 'thought' ? 'openai/gpt-5' : 'openai/gpt-4o'
    case 'anthropic':
      return 'anthropic/claude-sonnet-4-5'
    case 'gemini':
      return 'gemini/gemini-2.5-flash'
    case 'compatible':
      return what === 'thought' ? 'local/qwen3-32b' : 'local/llama-3.3-70b-versatile'
    case 'simulated':
      return what === 'parallel' ? 'sim/tools-2' : 'sim/echo'
  }
}
