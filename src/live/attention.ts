// Attention: what stops calls or soon will, and what is booked otherwise than it seems. Each is a fact, a consequence and a place to act.

import type { CircuitView } from '../core/circuit.ts'
import { formatUsd } from '../core/money.ts'
import type { ModelOverruns } from '../core/quote-overruns.ts'
import type { ModelBookings } from '../telemetry/booking-watch.ts'
import { subjectText } from '../wire/limit-headers.ts'
import type { LevelRow } from './live-levels.ts'

export const ATTENTION_KINDS = [
  'ledger_unavailable',
  'limit_full',
  'provider_down',
  'price_unknown',
  'limit_nearly_full',
  'quote_exceeded',
  'provider_cost_differs',
  'usage_not_credible',
  'prices_old',
  'configuration',
] as const
export type AttentionKind = (typeof ATTENTION_KINDS)[number]

/** Where an operator acts. */
export const ATTENTION_PLACES = ['limits', 'calls', 'prices', 'providers', 'configuration', 'ledger'] as const

export interface Attention {
  readonly kind: AttentionKind
  readonly severity: 'bad' | 'warn' | 'info'
  /** The limit's subject, the target or the model; null if there is none. */
  readonly subject: string | null
  /** The fact. */
  readonly title: string
  /** The consequence. */
  readonly text: string
  readonly act: (typeof ATTENTION_PLACES)[number]
}

/** What attention is drawn from. */
export interface AttentionSources {
  readonly ledgerFailure: string | undefined
  /** The fullest first. */
  readonly levels: readonly LevelRow[]
  readonly circuits: readonly CircuitView[]
  /** As `provider/model`. */
  readonly unpricedModels: readonly string[]
  readonly overruns: readonly ModelOverruns[]
  readonly bookings: readonly Readonly<ModelBookings>[]
  readonly priceWarnings: readonly { readonly code: string; readonly message: string }[]
  readonly configurationWarnings: readonly string[]
  /** Why the newest bursar.json is not in force. */
  readonly notReloaded: string | null
}

const NEARLY_FULL = 0.95
/** Of one kind, so that a thousand full limits of users hide nothing else. */
const MAX_OF_A_KIND = 5

/** Sorted by what stops calls, as `ATTENTION_KINDS` are. */
export function attentionOf(sources: AttentionSources): readonly Attention[] {
  return [
    ...ledger(sources),
    ...limited(fullLimits(sources.levels)),
    ...limited(openCircuits(sources.circuits)),
    ...unpriced(sources.unpricedModels),
    ...limited(nearlyFullLimits(sources.levels)),
    ...limited(exceededQuotes(sources.overruns)),
    ...limited(differingCosts(sources.bookings)),
    ...limited(incredibleUsage(sources.bookings)),
    ...oldPrices(sources.priceWarnings),
    ...configuration(sources),
  ]
}

function limited(items: readonly Attention[]): readonly Attention[] {
  return items.slice(0, MAX_OF_A_KIND)
}

function ledger({ ledgerFailure }: AttentionSources): readonly Attention[] {
  if (ledgerFailure === undefined) return []
  const title = 'The ledger cannot be written, so every call is refused'
  return [{ kind: 'ledger_unavailable', severity: 'bad', subject: null, title, text: ledgerFailure, act: 'ledger' }]
}

/** Limits that refill steadily are full now and then: that is how they work. */
function windows(levels: readonly LevelRow[]): readonly LevelRow[] {
  return levels.filter(({ view }) => view.meter.refill !== 'steady' && view.meter.what !== 'inFlight')
}

function fullLimits(levels: readonly LevelRow[]): readonly Attention[] {
  return windows(levels)
    .filter(({ view }) => view.free === 0n)
    .map(({ view }) => ({
      kind: 'limit_full',
      severity: view.enforced ? 'bad' : 'warn',
      subject: subjectText(view.meter),
      title: `${nameOf(view.meter)} is used up: ${whatOf(view)}`,
      text: view.enforced
        ? `Its calls are refused ${isTurning(view) ? `for ${durationText(view.resetMs)}` : 'until it is raised'}.`
        : 'The limit is not enforced: calls go on.',
      act: 'limits',
    }))
}

function nearlyFullLimits(levels: readonly LevelRow[]): readonly Attention[] {
  return windows(levels)
    .filter(({ view, fullness }) => view.free > 0n && fullness >= NEARLY_FULL)
    .map(({ view, fullness }) => ({
      kind: 'limit_nearly_full',
      severity: 'warn',
      subject: subjectText(view.meter),
      title: `${nameOf(view.meter)} has ${amountText(view.meter.what, view.free)} left: ${whatOf(view)}`,
      text: `${Math.floor(fullness * 100)} % of ${amountText(view.meter.what, view.capacity)} is used or reserved.${isTurning(view) ? ` It turns in ${durationText(view.resetMs)}.` : ''}`,
      act: 'limits',
    }))
}

type View = LevelRow['view']

function nameOf({ who, subject }: View['meter']): string {
  return who === 'global' ? 'Everyone' : `${who} ${subject}`
}

function whatOf({ meter }: View): string {
  return meter.name.replaceAll('_', ' ')
}

function amountText(what: View['meter']['what'], amount: bigint): string {
  return what === 'cost' ? `$${formatUsd(amount)}` : `${amount} ${what}`
}

function isTurning({ resetMs }: View): boolean {
  return resetMs > 0 && Number.isFinite(resetMs)
}

function durationText(ms: number): string {
  const minutes = Math.ceil(ms / 60_000)
  if (minutes < 60) return `${minutes} min`
  const hours = Math.floor(minutes / 60)
  return hours < 48 ? `${hours} h ${minutes % 60} min` : `${Math.floor(hours / 24)} days`
}

function openCircuits(circuits: readonly CircuitView[]): readonly Attention[] {
  return circuits
    .filter(({ state }) => state !== 'closed')
    .map(({ provider, model, failures, calls, retryAfterMs }) => ({
      kind: 'provider_down',
      severity: 'bad',
      subject: `${provider}/${model}`,
      title: `${provider}/${model} is not being asked`,
      text: `${failures} of its last ${calls} calls failed. ${retryAfterMs > 0 ? `Tried again in ${Math.ceil(retryAfterMs / 1000)} s` : 'Being tried again'}; aliases pass over it.`,
      act: 'calls',
    }))
}

function unpriced(models: readonly string[]): readonly Attention[] {
  if (models.length === 0) return []
  const shown = models.slice(0, MAX_OF_A_KIND).join(', ')
  const title = models.length === 1 ? `${shown} has no known price` : `${models.length} models have no known price`
  const text = `${models.length === 1 ? 'Its calls are' : `${shown}${models.length > MAX_OF_A_KIND ? ' and others' : ''}: their calls are`} booked at $0, or at what the provider states.`
  return [{ kind: 'price_unknown', severity: 'warn', subject: null, title, text, act: 'prices' }]
}

function exceededQuotes(overruns: readonly ModelOverruns[]): readonly Attention[] {
  return overruns
    .filter(({ simulated }) => !simulated)
    .map(({ provider, model, counts, percent }) => {
      const calls = counts.input + counts.output + counts.price
      return {
        kind: 'quote_exceeded',
        severity: 'warn',
        subject: `${provider}/${model}`,
        title: `${calls} ${calls === 1 ? 'call' : 'calls'} to ${provider}/${model} cost more than was reserved`,
        text: `Booked in full. The model is quoted at ${percent} % of the price list since.`,
        act: 'calls',
      }
    })
}

function differingCosts(bookings: readonly Readonly<ModelBookings>[]): readonly Attention[] {
  return bookings
    .filter(({ differingCalls }) => differingCalls > 0)
    .map(({ provider, model, differingCalls, statedNanoUsd, computedNanoUsd }) => ({
      kind: 'provider_cost_differs',
      severity: 'info',
      subject: `${provider}/${model}`,
      title: `${provider} states another cost than the price list for ${differingCalls} ${differingCalls === 1 ? 'call' : 'calls'} to ${model}`,
      text: `Theirs $${formatUsd(statedNanoUsd)}, by the list $${formatUsd(computedNanoUsd)}. What the provider states is booked.`,
      act: 'prices',
    }))
}

function incredibleUsage(bookings: readonly Readonly<ModelBookings>[]): readonly Attention[] {
  return bookings
    .filter(({ incredibleCalls }) => incredibleCalls > 0)
    .map(({ provider, model, incredibleCalls }) => ({
      kind: 'usage_not_credible',
      severity: 'warn',
      subject: `${provider}/${model}`,
      title: `${provider}/${model} reported usage that cannot be true`,
      text: `${incredibleCalls} ${incredibleCalls === 1 ? 'call is' : 'calls are'} booked at the whole reservation.`,
      act: 'calls',
    }))
}

function oldPrices(warnings: AttentionSources['priceWarnings']): readonly Attention[] {
  return warnings.map(({ code, message }) => ({
    kind: 'prices_old',
    severity: code === 'prices_old' ? 'warn' : 'info',
    subject: null,
    title: code === 'prices_old' ? 'The price list is old' : 'A price or a model changes',
    text: message,
    act: 'prices',
  }))
}

function configuration({ configurationWarnings, notReloaded }: AttentionSources): readonly Attention[] {
  const items: Attention[] = limited(
    configurationWarnings.map((text) => ({
      kind: 'configuration',
      severity: 'info',
      subject: null,
      title: 'The configuration names something that is not there',
      text,
      act: 'configuration',
    })),
  ).slice()
  if (notReloaded !== null)
    items.unshift({
      kind: 'configuration',
      severity: 'warn',
      subject: null,
      title: 'The newest bursar.json is not in force',
      text: notReloaded,
      act: 'configuration',
    })
  return items
}
