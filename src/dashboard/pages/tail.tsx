// Tail: the newest calls as they start and settle. New rows wait while the list is scrolled or pointed at.

import { useEffect, useMemo, useRef, useState } from 'react'
import { Link } from 'wouter'
import { clockTime, count, duration } from '../data/format.ts'
import { type LiveCall, timeOf } from '../data/live-state.ts'
import { CallState } from '../parts/call-state.tsx'
import { Count, Money } from '../parts/figures.tsx'
import { Icon } from '../parts/icons.tsx'
import { TableHead } from '../parts/table-head.tsx'

interface TailProps {
  /** When the page was opened, by the gateway's clock: earlier calls are not new. */
  readonly openedAt: string
  readonly calls: readonly LiveCall[]
  /** One of so many calls is shown. */
  readonly oneOf: number
}

const SAID_EVERY_MS = 30_000
const OUTCOMES = ['in_flight', 'completed', 'failed', 'canceled', 'refused'] as const
const OUTCOME_WORDS: Readonly<Record<string, string>> = {
  in_flight: 'running',
  completed: 'ok',
  failed: 'failed',
  canceled: 'left',
  refused: 'refused',
}

export function Tail({ calls, oneOf, openedAt }: TailProps) {
  const [filter, setFilter] = useState({ text: '', outcome: '' })
  const [held, setHeld] = useState<readonly LiveCall[]>()
  const list = useRef<HTMLElement>(null)
  const shown = useMemo(
    () => (held ? refreshed(held, calls) : calls).filter((call) => matches(call, filter)),
    [held, calls, filter],
  )
  const waiting = held ? calls.filter(({ call_id }) => !held.some((call) => call.call_id === call_id)).length : 0
  const hold = () => setHeld((known) => known ?? calls)
  const follow = () => {
    if ((list.current?.scrollTop ?? 0) === 0) setHeld(undefined)
  }
  return (
    <section className="card c12" aria-labelledby="tail">
      <header>
        <h2 id="tail">Newest calls</h2>
        {oneOf > 1 && <p>Showing 1 of {oneOf} calls; refused and failed all.</p>}
        <div className="row end">
          {waiting > 0 && (
            <button
              type="button"
              className="btn small"
              onClick={() => {
                list.current?.scrollTo({ top: 0 })
                setHeld(undefined)
              }}
            >
              Show {waiting} new
            </button>
          )}
        </div>
      </header>
      <div className="toolbar filters">
        <div className="find">
          <input
            id="find"
            type="search"
            aria-label="Filter by key, user, model or call id"
            placeholder="Key, user, model, id"
            value={filter.text}
            onChange={({ target }) => setFilter({ ...filter, text: target.value })}
          />
          <span className="key" aria-hidden="true">
            /
          </span>
        </div>
        <select
          aria-label="Outcome"
          className="outcome"
          value={filter.outcome}
          onChange={({ target }) => setFilter({ ...filter, outcome: target.value })}
        >
          <option value="">every outcome</option>
          {OUTCOMES.map((outcome) => (
            <option key={outcome} value={outcome}>
              {OUTCOME_WORDS[outcome]}
            </option>
          ))}
        </select>
      </div>
      {shown.length === 0 ? (
        <EmptyTail hasCalls={calls.length > 0} onClear={() => setFilter({ text: '', outcome: '' })} />
      ) : (
        <section
          ref={list}
          className="scroll tail-scroll"
          onMouseEnter={hold}
          onMouseLeave={follow}
          onScroll={({ currentTarget }) => (currentTarget.scrollTop > 0 ? hold() : undefined)}
          // biome-ignore lint/a11y/noNoninteractiveTabindex: what scrolls must be reachable by keyboard.
          tabIndex={0}
          aria-labelledby="tail"
        >
          <CallTable calls={shown} since={openedAt} />
        </section>
      )}
      <Announcement calls={calls} />
    </section>
  )
}

/** The held calls as they are now: a running call settles in its place. */
function refreshed(held: readonly LiveCall[], calls: readonly LiveCall[]): readonly LiveCall[] {
  const byId = new Map(calls.map((call) => [call.call_id, call]))
  return held.map((call) => byId.get(call.call_id) ?? call)
}

function matches(call: LiveCall, { text, outcome }: { readonly text: string; readonly outcome: string }): boolean {
  if (outcome !== '' && call.status !== outcome) return false
  const words = text.trim().toLowerCase()
  if (words === '') return true
  const { key, user, provider, model, call_id } = call
  return [key, user, `${provider}/${model}`, call_id].some((name) => name?.toLowerCase().includes(words))
}

function EmptyTail({ hasCalls, onClear }: { readonly hasCalls: boolean; readonly onClear: () => void }) {
  return (
    <div className="empty">
      <Icon name="calls" />
      <h3>{hasCalls ? 'No call matches' : 'No call yet'}</h3>
      <p>
        {hasCalls
          ? 'None of the newest calls has these words and this outcome.'
          : 'Each call shows here as it starts: who made it, which model answers, what is reserved, and what it cost in the end.'}
      </p>
      {hasCalls && (
        <button type="button" className="btn small" onClick={onClear}>
          Remove filters
        </button>
      )}
    </div>
  )
}

function CallTable({ calls, since }: { readonly calls: readonly LiveCall[]; readonly since: string }) {
  return (
    <table className="tail">
      <TableHead
        columns={[
          ['Time'],
          ['Outcome'],
          ['Who', 'p2'],
          ['Model'],
          ['Tokens', 'num p2'],
          ['Took', 'num p3'],
          ['Cost', 'num edge'],
        ]}
      />
      <tbody>
        {calls.map((call) => (
          <CallRow key={call.call_id} call={call} isNew={timeOf(call) > since} />
        ))}
      </tbody>
    </table>
  )
}

function CallRow({ call, isNew }: { readonly call: LiveCall; readonly isNew: boolean }) {
  const { key, user, provider, model } = call
  const who = [key, user].filter((name) => name !== null && name !== '').join(' · ')
  const isRefused = call.status === 'refused'
  return (
    <tr className={isNew ? 'new' : undefined}>
      <td className="nowrap">
        <Link href={`/calls/${encodeURIComponent(call.call_id)}`} className="cell">
          <time dateTime={timeOf(call)} title={timeOf(call)}>
            {clockTime(timeOf(call))}
          </time>
        </Link>
      </td>
      <td>
        <CallState status={call.status} />
        {isRefused && <span className="sub">{call.limit ?? call.reason}</span>}
      </td>
      <td className="p2">{who === '' ? <span className="muted">no key</span> : who}</td>
      <td className="model">
        {provider === '' ? model : `${provider}/${model}`}
        {who !== '' && <span className="sub only-s">{who}</span>}
      </td>
      <td className="num p2">{!isRefused && call.tokens ? <Count value={call.tokens.total} /> : '–'}</td>
      <td className="num p3">{isRefused ? '–' : took(call.reserved_at, call.settled_at)}</td>
      <td className="num edge">
        {isRefused ? (
          '$0'
        ) : call.cost_usd ? (
          <Money usd={call.cost_usd.total} />
        ) : (
          <span className="muted">
            ≤ <Money usd={call.reserved.cost_usd} rounding="up" />
          </span>
        )}
      </td>
    </tr>
  )
}

function took(from: string, to: string | null): string {
  return to === null ? '–' : duration(Math.max(0, Date.parse(to) - Date.parse(from)))
}

/** Says now and then how many calls came, for those who do not see the list. */
function Announcement({ calls }: { readonly calls: readonly LiveCall[] }) {
  const [text, setText] = useState('')
  const newest = useRef(calls)
  newest.current = calls
  useEffect(() => {
    const timer = setInterval(() => {
      const since = new Date(Date.now() - SAID_EVERY_MS).toISOString()
      const recent = newest.current.filter((call) => timeOf(call) >= since)
      const refused = recent.filter(({ status }) => status === 'refused').length
      setText(recent.length === 0 ? '' : `${count(recent.length)} calls, ${count(refused)} refused`)
    }, SAID_EVERY_MS)
    return () => clearInterval(timer)
  }, [])
  return (
    <p className="vh" role="status">
      {text}
    </p>
  )
}
