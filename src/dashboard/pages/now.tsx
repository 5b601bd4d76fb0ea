// Now: is anything wrong, and how much is left?

import { useState } from 'react'
import { money, rate } from '../data/format.ts'
import type { LiveAnswer } from '../data/live-state.ts'
import type { Session } from '../data/session.ts'
import type { Live } from '../data/use-live.ts'
import { LineChart } from '../parts/line-chart.tsx'
import { AttentionCard } from './attention.tsx'
import { FirstRun } from './first-run.tsx'
import { Limits } from './limits.tsx'
import { Providers } from './providers.tsx'
import { Tail } from './tail.tsx'
import { Rates, Today } from './today.tsx'

export function Now({ live, session }: { readonly live: Live; readonly session: Session }) {
  const { state, calls, oneOf } = live
  const [openedAt, setOpenedAt] = useState<string>()
  if (!state) return <Skeleton />
  if (openedAt === undefined) setOpenedAt(state.at)
  const isFirstRun = state.simulated && calls.length === 0 && state.today.calls === 0 && state.today.refused === 0
  const seesAll = session.viewer !== 'key'
  return (
    <>
      {isFirstRun ? (
        <FirstRun needsKey={session.keys_exist} />
      ) : (
        <AttentionCard items={state.attention} summary={summaryOf(state)} />
      )}
      <section className="grid fill" aria-label="Today and now">
        <Today state={state} />
        <Rates state={state} />
      </section>
      {!isFirstRun && <Charts state={state} />}
      <div className="grid">
        <Limits state={state} />
        {seesAll && <Providers providers={state.providers} />}
      </div>
      <Tail calls={calls} oneOf={oneOf} openedAt={openedAt ?? state.at} />
    </>
  )
}

function summaryOf({ today, providers }: LiveAnswer): string {
  const ready = providers.filter(({ configured }) => configured).length
  return `${today.refused} refused today, ${ready} ${ready === 1 ? 'provider' : 'providers'} ready.`
}

/** The running minute is left out of the charts: its figures are of less than a minute. */
function Charts({ state }: { readonly state: LiveAnswer }) {
  const whole = state.minutes.slice(0, -1)
  const times = whole.map(({ at }) => Date.parse(at))
  return (
    <div className="grid">
      <div className="c6">
        <LineChart
          title="Calls a second"
          subtitle="last hour, by minute"
          times={times}
          series={[
            { name: 'passed', colour: '--s1', values: whole.map(({ calls }) => calls / 60) },
            { name: 'refused', colour: '--bad', values: whole.map(({ refused }) => refused / 60) },
          ]}
          shown={rate}
        />
      </div>
      <div className="c6">
        <LineChart
          title="Cost a minute"
          subtitle="last hour, as settled"
          times={times}
          series={[{ name: 'settled', colour: '--s1', values: whole.map(({ cost_usd }) => cost_usd) }]}
          shown={money}
        />
      </div>
    </div>
  )
}

function Skeleton() {
  return (
    <section className="grid fill" aria-busy="true" aria-label="Loading">
      {(['c5', 'c7', 'c6', 'c6'] as const).map((width, index) => (
        // biome-ignore lint/suspicious/noArrayIndexKey: the places never change.
        <div key={index} className={`card ${width}`}>
          <div className="body stack s">
            <span className="sk w1" />
            <span className="sk b" />
            <span className="sk w3" />
          </div>
        </div>
      ))}
    </section>
  )
}
