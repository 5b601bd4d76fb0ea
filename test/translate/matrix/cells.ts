// Cells: the table of callers, upstreams and scenarios, with the expected outcome of each.

import { CALLERS, type Caller } from './callers.ts'

export const FEATURES = ['text', 'tools', 'parallel', 'image', 'schema', 'thought', 'json', 'several'] as const
export type Feature = (typeof FEATURES)[number]
export const FAILURES = ['refusal', 'broken'] as const
export type Failure = (typeof FAILURES)[number]

/**
 * The outcome of a call, whole and streamed. `ok`: it succeeds. `shown`: it succeeds and shows the model's thoughts; `hidden`:
 * the model thinks without showing it. `!name`: it is refused with 400 and the name of the field. A dot: the dialect cannot
 * express the scenario, or the upstream cannot do it. For failures: the class of error that the SDK raises.
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
  readonly upstream: UpstreamName
  readonly scenario: Feature | Failure
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
    const upstream = UPSTREAM_NAMES.find((name) => name === to)
    if (!caller || !upstream || outcomes.length !== header.length) throw new Error(`unknown row: ${ways}`)
    return outcomes.map((outcome, index) => ({ caller, upstream, scenario: scenarioOf(header[index]), outcome }))
  })
}

function scenarioOf(name: string | undefined): Feature | Failure {
  const scenario = [...FEATURES, ...FAILURES].find((candidate) => candidate === name)
  if (!scenario) throw new Error(`unknown column: ${name}`)
  return scenario
}

/** The model that the client asks for in a scenario. */
export function modelOf(upstream: UpstreamName, scenario: Feature | Failure): string {
  switch (upstream) {
    case 'openai':
      return scenario === 'thought' ? 'openai/gpt-5' : 'openai/gpt-4o'
    case 'anthropic':
      return 'anthropic/claude-sonnet-4-5'
    case 'gemini':
      return 'gemini/gemini-2.5-flash'
    case 'compatible':
      return scenario === 'thought' ? 'local/qwen3-32b' : 'local/llama-3.3-70b-versatile'
    case 'simulated':
      return scenario === 'parallel' ? 'sim/tools-2' : 'sim/echo'
  }
}
