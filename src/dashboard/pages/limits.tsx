// Limits: every meter as a gauge, the fullest first; the others are found by search.

import { useEffect, useState } from 'react'
import { RequestFailed, request } from '../data/api.ts'
import { clockTime, duration } from '../data/format.ts'
import type { LiveAnswer, LiveLimit } from '../data/live-state.ts'
import { Amount } from '../parts/figures.tsx'
import { Gauge, isHot } from '../parts/gauge.tsx'
import { Icon } from '../parts/icons.tsx'
import { Segments } from '../parts/segments.tsx'
import { Swatch } from './today.tsx'

type Kind = 'all' | 'money' | 'rates'
const SHOWN = 8
const SEARCH_DELAY_MS = 200

export function Limits({ state }: { readonly state: LiveAnswer }) {
  const [kind, setKind] = useState<Kind>('all')
  const [search, setSearch] = useState('')
  const [showsAll, setShowsAll] = useState(false)
  const { found, failure } = useSearch(search, state.at)
  const { count, fullest } = state.limits
  const limits = (search === '' ? fullest : (found?.limits ?? [])).filter((limit) => isOfKind(limit, kind))
  const shown = showsAll || search !== '' ? limits : limits.slice(0, SHOWN)
  return (
    <section className="card c8 w8" aria-labelledby="limits">
      <header>
        <h2 id="limits">Limits</h2>
        <p>fullest first</p>
        <div className="row end">
          <div className="find">
            <input
              type="search"
              aria-label="Find a limit by subject or name"
              placeholder="Find a key, user, limit"
              value={search}
              onChange={({ target }) => setSearch(target.value)}
            />
          </div>
          <Segments
            label="Kind of limit"
            choices={[
              ['all', `All ${count}`],
              ['money', 'Money'],
              ['rates', 'Rates'],
            ]}
            chosen={kind}
            onChoose={setKind}
          />
        </div>
      </header>
      <div className="meters">
        <p className="head" aria-hidden="true">
          <span>Whose, what</span>
          <span />
          <span>
            <Swatch kind="settled" />
            settled
          </span>
          <span>
            <Swatch kind="reserved" />
            reserved
          </span>
          <span>
            <Swatch kind="free" />
            free
          </span>
          <span>resets</span>
        </p>
        <ul>
          {shown.map((limit) => (
            <LimitRow key={`${limit.subject} ${limit.limit} ${limit.source}`} limit={limit} at={state.at} />
          ))}
        </ul>
      </div>
      {shown.length === 0 && <NoLimit search={search} failure={failure} isSearching={search !== '' && !found} />}
      <footer>
        {search === '' && limits.length > SHOWN && (
          <button type="button" className="btn small" onClick={() => setShowsAll(!showsAll)}>
            {showsAll ? 'Show fewer' : `Show ${limits.length}`}
          </button>
        )}
        <span>Days and months turn at midnight {state.time_zone}.</span>
        {state.enforcement === 'soft' && (
          <span className="st warn">Limits count and refuse nothing (ENFORCEMENT=soft).</span>
        )}
      </footer>
    </section>
  )
}

function NoLimit({
  search,
  failure,
  isSearching,
}: {
  readonly search: string
  readonly failure: string | undefined
  readonly isSearching: boolean
}) {
  if (isSearching && !failure) return <p className="empty muted">Searching…</p>
  return (
    <div className="empty">
      <h3>{search === '' ? 'No limit is set' : 'No limit matches'}</h3>
      <p>
        {failure ??
          (search === ''
            ? 'Set REQUESTS_PER_MINUTE, DAILY_SPENDING_LIMIT or limits in bursar.json, and every level shows here.'
            : `No subject and no limit has “${search}” in its name.`)}
      </p>
    </div>
  )
}

interface FoundLimits {
  readonly limits: readonly LiveLimit[]
  readonly count: number
}

/** The limits that match, refreshed with each new state. */
function useSearch(search: string, at: string) {
  const [found, setFound] = useState<FoundLimits>()
  const [failure, setFailure] = useState<string>()
  // biome-ignore lint/correctness/useExhaustiveDependencies: levels are read again with each state.
  useEffect(() => {
    if (search === '') {
      setFound(undefined)
      setFailure(undefined)
      return
    }
    const ended = new AbortController()
    const timer = setTimeout(async () => {
      try {
        const query = new URLSearchParams({ search, limit: '50' })
        setFound((await request<FoundLimits>(`/llm/limits/levels?${query}`, { signal: ended.signal })) as FoundLimits)
        setFailure(undefined)
      } catch (error) {
        if (error instanceof RequestFailed) setFailure(error.message)
      }
    }, SEARCH_DELAY_MS)
    return () => {
      clearTimeout(timer)
      ended.abort()
    }
  }, [search, at])
  return { found, failure }
}

function isOfKind({ unit }: LiveLimit, kind: Kind): boolean {
  return kind === 'all' || (kind === 'money') === (unit === 'usd')
}

function LimitRow({ limit, at }: { readonly limit: LiveLimit; readonly at: string }) {
  const { unit, settled, reserved, free, capacity } = limit
  const { who, name } = subjectOf(limit)
  const what = limit.limit.replaceAll('_', ' ')
  return (
    <li>
      <div className="who">
        <b>{name}</b>
        <span>
          {who === '' ? what : `${who} · ${what}`}
          {limit.enforced ? '' : ' · not enforced'}
        </span>
      </div>
      <div className="g">
        <Gauge level={limit} name={[name, who, what].filter((text) => text !== '').join(', ')} />
      </div>
      <dl>
        <div>
          <dt>settled</dt>
          <dd>
            <Amount unit={unit} value={settled} />
          </dd>
        </div>
        <div>
          <dt>reserved</dt>
          <dd>
            <Amount unit={unit} value={reserved} rounding="up" />
          </dd>
        </div>
        <div>
          <dt>free</dt>
          <dd className={isHot(limit) ? 'strong st bad' : 'strong'}>
            {isHot(limit) && <Icon name="warn" />}
            <Amount unit={unit} value={free} rounding="down" />
          </dd>
          <dd className="sub">
            of <Amount unit={unit} value={capacity} />
          </dd>
        </div>
        <div className="when">
          <dt>resets</dt>
          <Resets limit={limit} at={at} />
        </div>
      </dl>
    </li>
  )
}

function Resets({ limit: { refill, resets_in_ms: ms }, at }: { readonly limit: LiveLimit; readonly at: string }) {
  if (refill === 'none') return <dd>never</dd>
  if (refill === 'call') return <dd>with each call</dd>
  if (refill === 'steady')
    return (
      <>
        <dd>steady</dd>
        {ms > 0 && <dd className="sub">(full in {duration(ms)})</dd>}
      </>
    )
  return (
    <>
      <dd>in {duration(ms)}</dd>
      <dd className="sub">({clockTime(Date.parse(at) + ms, false)} your time)</dd>
    </>
  )
}

/** `key:web` is the key `web`; `global` is everyone. */
function subjectOf({ subject }: LiveLimit): { readonly who: string; readonly name: string } {
  if (subject === 'global') return { who: '', name: 'Everyone' }
  const colon = subject.indexOf(':')
  return { who: subject.slice(0, colon), name: subject.slice(colon + 1) }
}
