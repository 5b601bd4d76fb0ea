// Event alerts: what an alert says of an event or a notice, for all that is about neither limits nor hours. Each is sent once within its
// window, which begins with the alert.

import { formatUsd, jsonUsd } from '../core/money.ts'
import type {
  CallEvent,
  CircuitClosed,
  CircuitOpened,
  Notice,
  QuoteExceeded,
  UpstreamLimitLow,
} from '../telemetry/call-events.ts'
import { type Alert, DAY_MS, HOUR_MS, nameText, timeText } from './alert.ts'

const WEEK_MS = 7 * DAY_MS

/** The alert of an event that is one by itself. Undefined for all others. */
export function alertOfEvent(event: CallEvent): Alert | undefined {
  switch (event.kind) {
    case 'quote_exceeded':
      return event.facts.simulated ? undefined : quoteAlert(event)
    case 'upstream_limit_low':
      return upstreamAlert(event)
    case 'rejected':
      return event.problem.code === 'unknown_price'
        ? unpricedCallAlert(event.problem.message, event.at.wallMs)
        : undefined
    default:
      return undefined
  }
}

/** The alert of a notice that is one. Undefined for all others. */
export function alertOfNotice({ code, message, details }: Notice, atMs: number): Alert | undefined {
  switch (code) {
    case 'price_unknown':
      return unknownPriceAlert(nameText(`${details?.provider}/${details?.model}`), atMs)
    case 'prices_old':
      return oldPricesAlert(message, atMs)
    case 'ledger_unavailable':
      return lostLedgerAlert(message, String(details?.reason ?? ''), atMs)
    case 'ledger_available':
      return foundLedgerAlert(atMs)
    default:
      return undefined
  }
}

function quoteAlert({ at: { wallMs }, facts, outcome, reason }: QuoteExceeded): Alert {
  const subject = nameText(`${facts.provider}/${facts.model}`)
  const [cost, quote] = [outcome.cost.totalNanoUsd, facts.reservedCostNanoUsd]
  return {
    kind: 'quote_exceeded',
    type: 'quote.exceeded',
    atMs: wallMs,
    subject,
    title: `A call to ${subject} cost more than its quote`,
    text: `The call ${facts.callId} of ${timeText(facts.reservedAtMs)} cost $${formatUsd(cost)}, and $${formatUsd(quote)} was reserved for it (reason: ${reason}). The cost is booked in full, so a limit can be exceeded by the difference.`,
    advice:
      'Later calls to the model are quoted higher. Refuse calls without a bound by UNBOUNDED_CALLS=refuse if the limit must hold always.',
    figures: {
      call_id: facts.callId,
      model: subject,
      key: facts.caller.key,
      cost_usd: jsonUsd(cost),
      quote_usd: jsonUsd(quote),
      reason,
    },
    key: `quote_exceeded/${subject}`,
    rank: 0,
    keepUntilMs: wallMs + DAY_MS,
  }
}

function upstreamAlert({ at: { wallMs }, provider, model, limit }: UpstreamLimitLow): Alert {
  const subject = nameText(`${provider}/${model}`)
  const name = nameText(limit.name)
  const reset = limit.resetMs === null ? '' : ` It refills within ${Math.ceil(limit.resetMs / 1_000)} s.`
  return {
    kind: 'upstream_limit_low',
    type: 'upstream_limit.low',
    atMs: wallMs,
    subject,
    title: `${nameText(provider)} is about to refuse calls to ${subject}`,
    text: `${limit.remaining ?? 'Little'} of ${limit.limit ?? 'an unknown number of'} ${name} is left of the provider's own limit, at ${timeText(wallMs)}.${reset}`,
    advice: 'Lower the limits of callers, add a second target to the alias, or have the provider raise its limit.',
    figures: {
      model: subject,
      limit: name,
      capacity: limit.limit,
      remaining: limit.remaining,
      reset_ms: limit.resetMs,
    },
    key: `upstream_limit_low/${subject}/${name}`,
    rank: 0,
    keepUntilMs: wallMs + HOUR_MS,
  }
}

function unknownPriceAlert(subject: string, atMs: number): Alert {
  return {
    kind: 'price_unknown',
    type: 'price.unknown',
    atMs,
    subject,
    title: `The price of ${subject} is not known`,
    text: `Calls to ${subject} are sent since ${timeText(atMs)}, and are settled at $0: no limit on cost counts them.`,
    advice: 'Put the price into "prices" of bursar.json or send it to PUT /admin/prices, or set UNKNOWN_PRICE=refuse.',
    figures: { model: subject, refused: false },
    key: `price_unknown/${subject}`,
    rank: 0,
    keepUntilMs: atMs + DAY_MS,
  }
}

/** One for all models: callers may send any name. */
function unpricedCallAlert(message: string, atMs: number): Alert {
  return {
    kind: 'price_unknown',
    type: 'price.unknown',
    atMs,
    subject: 'global',
    title: 'A call was refused, because its price is not known',
    text: `${nameText(message)} Since ${timeText(atMs)}; there may be other models.`,
    advice:
      'Put the price into "prices" of bursar.json or send it to PUT /admin/prices, if the model should be called.',
    figures: { model: null, refused: true },
    key: 'price_unknown/(refused)',
    rank: 0,
    keepUntilMs: atMs + DAY_MS,
  }
}

function oldPricesAlert(message: string, atMs: number): Alert {
  return {
    kind: 'prices_old',
    type: 'prices.old',
    atMs,
    subject: 'prices',
    title: 'Prices are old',
    text: `${nameText(message)} Calls to newer models have no price, and others may be booked at a price that has changed.`,
    advice: 'Update bursar, or set PRICES_URL to download prices once a day.',
    figures: {},
    key: 'prices_old',
    rank: 0,
    keepUntilMs: atMs + WEEK_MS,
  }
}

/** The key of the alert that the ledger takes no calls; to be released once it does. */
export const LEDGER_KEY = 'ledger_unavailable'

function lostLedgerAlert(message: string, reason: string, atMs: number): Alert {
  return {
    kind: 'ledger_unavailable',
    type: 'ledger.unavailable',
    atMs,
    subject: 'ledger',
    title: 'The ledger takes no calls',
    text: `Since ${timeText(atMs)}, every call is refused with status 503. ${message}`,
    advice: 'See the disk and the file of DATABASE_URL. GET /readyz says whether calls are taken again.',
    figures: { reason },
    key: LEDGER_KEY,
    rank: 0,
    keepUntilMs: atMs + HOUR_MS,
  }
}

function foundLedgerAlert(atMs: number): Alert {
  return {
    kind: 'ledger_unavailable',
    type: 'ledger.available',
    atMs,
    subject: 'ledger',
    title: 'The ledger takes calls again',
    text: `Calls are taken again since ${timeText(atMs)}.`,
    advice: 'Nothing is to be done.',
    figures: {},
    key: `ledger_available/${atMs}`,
    rank: 0,
    keepUntilMs: atMs + HOUR_MS,
  }
}

/** The key of the alert that a target is down; to be released once it is up. */
export function downKey({ provider, model }: Pick<CircuitOpened, 'provider' | 'model'>): string {
  return `provider_down/${nameText(`${provider}/${model}`)}`
}

export function downAlert(event: CircuitOpened): Alert {
  const subject = nameText(`${event.provider}/${event.model}`)
  const atMs = event.at.wallMs
  return {
    kind: 'provider_down',
    type: 'provider.down',
    atMs,
    subject,
    title: `${subject} is down`,
    text: `At least half of the calls to ${subject} failed within 30 seconds. Since ${timeText(atMs)}, none are sent there but one now and then, to try.`,
    advice: "See GET /llm/status and the provider's own status page. An alias with a second target goes on without it.",
    figures: { model: subject },
    key: downKey(event),
    rank: 0,
    keepUntilMs: atMs + HOUR_MS,
  }
}

/** @param sinceMs when the target went down */
export function upAlert({ provider, model, at }: CircuitClosed, sinceMs: number): Alert {
  const subject = nameText(`${provider}/${model}`)
  const minutes = Math.max(1, Math.round((at.wallMs - sinceMs) / 60_000))
  return {
    kind: 'provider_down',
    type: 'provider.up',
    atMs: at.wallMs,
    subject,
    title: `${subject} is up again`,
    text: `${subject} answers since ${timeText(at.wallMs)}. It was down for ${minutes} min, since ${timeText(sinceMs)}.`,
    advice: 'Nothing is to be done.',
    figures: {
      model: subject,
      down_since: new Date(sinceMs).toISOString(),
      up_since: new Date(at.wallMs).toISOString(),
    },
    key: `provider_up/${subject}/${sinceMs}`,
    rank: 0,
    keepUntilMs: at.wallMs + HOUR_MS,
  }
}
