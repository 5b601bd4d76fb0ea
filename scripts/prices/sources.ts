// Sources: the shapes of the two public price lists that prices.json is made of. Nothing here is used by the gateway.

import type { FileSpan } from '../../src/prices/price-file.ts'

/** One condition on a model's name, as genai-prices writes them. */
export type GenaiMatch =
  | { readonly equals: string }
  | { readonly starts_with: string }
  | { readonly ends_with: string }
  | { readonly contains: string }
  | { readonly regex: string }
  | { readonly or_: readonly GenaiMatch[] }
  | { readonly and_: readonly GenaiMatch[] }

/** Dollars, or a base and the dollars for a whole call whose input is over so many tokens. */
export type GenaiPrice = number | { readonly base: number; readonly over: Readonly<Record<string, number>> }

export type GenaiRates = Readonly<Record<string, GenaiPrice>>

/** When a price holds: from a day on, or daily between two times in UTC. Null is always. */
export type GenaiConstraint = { readonly from: string } | { readonly utc: readonly [string, string] } | null

export interface GenaiModel {
  readonly id: string
  readonly match: GenaiMatch
  readonly context_window: number | null
  readonly deprecated: boolean
  readonly prices: readonly { readonly constraint: GenaiConstraint; readonly prices: GenaiRates }[]
  readonly variants: readonly {
    readonly when: Readonly<Record<string, string>>
    readonly constraint: GenaiConstraint
    readonly prices: GenaiRates
  }[]
}

/** What export-genai-prices.py prints, one for each provider. */
export interface GenaiProvider {
  readonly id: string
  readonly fallbacks: readonly string[]
  readonly models: readonly GenaiModel[]
}

/** A row of litellm's map. Its prices are dollars per token. */
export type LitellmModel = Readonly<Record<string, unknown>>
export type LitellmMap = Readonly<Record<string, LitellmModel>>

/** A correction of one model, and where its figures come from. */
export interface Correction {
  /** As genai-prices names it. */
  readonly provider: string
  readonly model: string
  /** Other names of the model; only for a model that no source lists. */
  readonly otherNames?: readonly string[]
  /** The model of the same provider whose prices this name has. */
  readonly as?: string
  /** Prices that replace those of every span. */
  readonly set?: Readonly<Record<string, GenaiPrice>>
  /** Spans that replace all others. */
  readonly spans?: readonly FileSpan[]
  /** Spans that follow the others. */
  readonly laterSpans?: readonly FileSpan[]
  readonly tiers?: Readonly<Record<string, number>>
  readonly uplifts?: Readonly<Record<string, number>>
  /** The source says that the model is free, and nobody knows that. */
  readonly isUnknown?: true
  readonly ends?: string
  /** Who published the figures. */
  readonly source: string
  /** The day on which they were read there. */
  readonly date: string
}
