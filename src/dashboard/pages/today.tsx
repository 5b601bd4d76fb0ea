// Today: what is spent, with its gauge, and the rates of the last minute.

import { clockTime, count, duration, money, rate, share } from '../data/format.ts'
import type { LiveAnswer, LiveLimit, LiveMinute } from '../data/live-state.ts'
import { Count, Money } from '../parts/figures.tsx'
import { Gauge } from '../parts/gauge.tsx'
import { Icon } from '../parts/icons.tsx'
import { Sparkline } from '../parts/sparkline.tsx'

export function Today({ state }: { readonly state: LiveAnswer }) {
  const { today, open, simulated, time_zone: timeZone, at } = state
  const limit = state.limits.fullest.find((one) => isCostOfDay(one))
  const leftMs = Date.parse(today.ends_at) - Date.parse(at)
  const [yours, theirs] = [clockTime(today.ends_at, false), `midnight ${timeZone}`]
  return (
    <div className="card c5 w4">
      <dl className="fig">
        <dt>
          Spent today
          {simulated && <SimulatedPill />}
        </dt>
        <dd className="huge">
          <Money usd={today.cost_usd} />
        </dd>
        <dd>
          and <Money usd={open.cost_usd} rounding="up" /> reserved by {count(open.calls)}{' '}
          {open.calls === 1 ? 'call' : 'calls'} in flight
        </dd>
      </dl>
      <div className="body stack s">
        {limit && (
          <>
            <Gauge level={limit} name={`Dollars a day, ${limit.subject}`} size="l" />
            <p className="legend" aria-hidden="true">
              <span>
                <Swatch kind="settled" />
                settled <b>{money(limit.settled)}</b>
              </span>
              <span>
                <Swatch kind="reserved" />
                reserved <b>{money(limit.reserved)}</b>
              </span>
              <span>
                <Swatch kind="free" />
                free <b>{money(limit.free, 'down')}</b> of {money(limit.capacity)}
              </span>
            </p>
          </>
        )}
        <p className="small muted">
          Resets in {duration(Math.max(0, leftMs))}, at {theirs} ({yours} your time).
        </p>
      </div>
    </div>
  )
}

function isCostOfDay({ subject, unit, refill, limit }: LiveLimit): boolean {
  return subject === 'global' && unit === 'usd' && refill === 'window' && /day|daily/.test(limit)
}

export function SimulatedPill() {
  return (
    <span className="pill info">
      <Icon name="info" />
      simulated
    </span>
  )
}

export function Swatch({ kind }: { readonly kind: 'settled' | 'reserved' | 'free' }) {
  return (
    <svg className="sw" aria-hidden="true">
      {kind === 'reserved' ? (
        <rect fill="url(#h1)" width="12" height="12" />
      ) : (
        <rect className={kind === 'settled' ? 'set' : 'free'} width="12" height="12" />
      )}
    </svg>
  )
}

export function Rates({ state }: { readonly state: LiveAnswer }) {
  const { last_minute: minute, minutes } = state
  const refusedShare = minute.calls + minute.refused === 0 ? 0 : minute.refused / (minute.calls + minute.refused)
  const over = (value: (minute: LiveMinute) => number) => minutes.map(value)
  return (
    <div className="card c7 w8">
      <div className="figs">
        <dl className="fig">
          <dt>Calls a second</dt>
          <dd className="big">{rate(minute.calls / 60)}</dd>
          <dd>
            <Count value={minute.calls} /> in a minute
          </dd>
          <dd>
            <Sparkline values={over(({ calls }) => calls)} />
          </dd>
        </dl>
        <dl className="fig">
          <dt>Tokens a second</dt>
          <dd className="big">{rate(minute.tokens / 60)}</dd>
          <dd>
            <Count value={minute.tokens} /> in a minute
          </dd>
          <dd>
            <Sparkline values={over(({ tokens }) => tokens)} />
          </dd>
        </dl>
        <dl className="fig">
          <dt>Cost a minute</dt>
          <dd className="big">
            <Money usd={minute.cost_usd} />
          </dd>
          <dd>
            <Money usd={minute.cost_usd * 60} /> an hour
          </dd>
          <dd>
            <Sparkline values={over(({ cost_usd }) => cost_usd)} />
          </dd>
        </dl>
        <dl className="fig">
          <dt>
            <Icon name="refused" />
            Refused a minute
          </dt>
          <dd className="big">
            <Count value={minute.refused} />
          </dd>
          <dd>{share(refusedShare)} of all</dd>
          <dd>
            <Sparkline values={over(({ refused }) => refused)} isBad />
          </dd>
        </dl>
      </div>
    </div>
  )
}
