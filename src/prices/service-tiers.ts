// Service tiers: the percent of a model's token rates that each tier costs. Knows no prices.

type TierPercents = Readonly<Record<string, number>>

/** Has no prototype: requests and answers name tiers, and `constructor` must not be found. */
function tierPercents(of: Record<string, number>): TierPercents {
  return Object.freeze(Object.assign(Object.create(null) as Record<string, number>, of))
}

export const NO_TIERS = tierPercents({})

/**
 * OpenAI's published priority prices by the library's model, in percent of the standard ones, rounded up. All other models
 * take the highest published ratio (gpt-5.5 has been quoted at both 200 and 250).
 */
const OPENAI_PRIORITY_PERCENT: ReadonlyMap<string, number> = new Map(
  (
    [
      [167, 'gpt-4o-mini'],
      [170, 'gpt-4o'],
      [175, 'gpt-4o-2024-05-13 gpt-4.1 gpt-4.1-mini o3'],
      [180, 'gpt-5-mini gpt-5.1-codex-mini'],
      [182, 'o4-mini'],
      [200, 'gpt-4.1-nano gpt-5 gpt-5.1 gpt-5.2 gpt-5.3 gpt-5.3-codex gpt-5.4 gpt-5.4-mini'],
      [200, 'gpt-5.6-sol gpt-5.6-terra gpt-5.6-luna'],
    ] as const
  ).flatMap(([percent, models]) => models.split(' ').map((model) => [model, percent] as const)),
)

const MAX_OPENAI_PRIORITY_PERCENT = 250

const OPENAI_FLEX_MODELS =
  /^(?:o3|o4-mini|gpt-5(?:\.\d)?(?:-mini|-nano|-sol|-terra|-luna)?|gpt-5\.[45]-pro|gpt-6-[a-z]+)$/

/** Anthropic's `speed: fast` costs twice the price for Opus 5. All other models take the highest figure, six times. */
const ANTHROPIC_FAST_PERCENT: ReadonlyMap<string, number> = new Map([['claude-opus-5', 200]])

const MAX_ANTHROPIC_FAST_PERCENT = 600

const ANTHROPIC_US_PERCENT = 110

/**
 * The percent of the token rates that each service tier costs. Keys are the words of OpenAI's `service_tier`. Gemini's traffic
 * types map onto the same words. Anthropic's `speed: fast` and `inference_geo: us` are `fast`, `us` and `fast+us`. A tier in
 * which a model is not sold is left out, so it costs 100. Committed capacity (`scale`, Anthropic's `priority`, provisioned
 * throughput) also costs 100 here, because it is paid by a bill of its own.
 *
 * @param families the model's names from the most exact to the family
 */
export function tiersOf(libraryId: string, families: readonly string[]): TierPercents {
  const family = families.at(-1) ?? ''
  if (libraryId === 'openai' || libraryId === 'azure') {
    const known = families.find((name) => OPENAI_PRIORITY_PERCENT.has(name)) ?? ''
    const priority = OPENAI_PRIORITY_PERCENT.get(known) ?? MAX_OPENAI_PRIORITY_PERCENT
    return tierPercents(OPENAI_FLEX_MODELS.test(family) ? { priority, flex: 50, batch: 50 } : { priority, batch: 50 })
  }
  if (libraryId === 'anthropic') {
    const fast = ANTHROPIC_FAST_PERCENT.get(family) ?? MAX_ANTHROPIC_FAST_PERCENT
    return tierPercents({ fast, us: ANTHROPIC_US_PERCENT, 'fast+us': (fast * ANTHROPIC_US_PERCENT) / 100, batch: 50 })
  }
  if (libraryId === 'google' && /^gemini-(?:2\.5|[3-9])/.test(family)) {
    return tierPercents({ priority: 180, flex: 50, batch: 50 })
  }
  return NO_TIERS
}
