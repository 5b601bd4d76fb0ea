// Calls: every settled call of a period and its corrections, the newest first; filters stand in the address.

import { useCallback, useEffect, useState } from 'react'
import { Link } from 'wouter'
import type { RecordJson } from '../../http/usage-views.ts'
import { addressOf, type Received, RequestFailed, request } from '../data/api.ts'
import { reportQuery, useFilters } from '../data/filters.ts'
import { clockTime, dateText, duration } from '../data/format.ts'
import type { Session } from '../data/session.ts'
import { CallState } from '../parts/call-state.tsx'
import { Count, Money } from '../parts/figures.tsx'
import { Icon } from '../parts/icons.tsx'
import { Failure, Loading } from '../parts/loading.tsx'
import { TableHead } from '../parts/table-head.tsx'
import { Toolbar } from '../parts/toolbar.tsx'

type Call = Received<RecordJson>

interface Page {
  readonly records: readonly Call[]
  readonly next_cursor: string | null
}

const DEFAULT_DAYS = '7'
const PAGE_CALLS = 100

export function Calls({ session }: { readonly session: Session }) {
  const filters = useFilters()
  const query = reportQuery(filters, DEFAULT_DAYS)
  const { records, hasMore, failure, isLoading, readMore } = useRecords(query)
  return (
    <>
      <Toolbar filters={filters} defaultDays={DEFAULT_DAYS} timeZone={session.time_zone} />
      <section className="card" aria-labelledby="calls">
        <header>
          <h2 id="calls">Calls</h2>
          <p>settled, newest first</p>
          <div className="row end">
            <a className="btn small" href={addressOf(`/token-usage/all?${query}&format=csv`)} download>
              <Icon name="download" />
              CSV
            </a>
          </div>
        </header>
        {records.length > 0 && <RecordTable records={records} />}
        {failure ? (
          <Failure failure={failure} onTryAgain={readMore} />
        ) : isLoading ? (
          <Loading />
        ) : records.length === 0 ? (
          <div className="empty">
            <Icon name="calls" />
            <h3>No calls in this time</h3>
            <p>
              {filters.ofCalls.length > 0
                ? 'None has all of these filters. Remove one, or choose a longer period.'
                : 'Choose a longer period. Calls that run stand on Now until they are settled.'}
            </p>
          </div>
        ) : null}
        {hasMore && !isLoading && (
          <footer>
            <button type="button" className="btn" onClick={readMore}>
              Show older calls
            </button>
          </footer>
        )}
      </section>
    </>
  )
}

/** Pages of records, one after the other. */
function useRecords(query: string) {
  const [state, setState] = useState<{
    readonly query: string
    readonly records: readonly Call[]
    readonly next: string | null | undefined
  }>({ query, records: [], next: undefined })
  const [failure, setFailure] = useState<RequestFailed>()
  const [isLoading, setLoading] = useState(false)
  const read = useCallback(
    async (cursor: string | undefined, known: readonly Call[], signal?: AbortSignal) => {
      setLoading(true)
      setFailure(undefined)
      try {
        const place = cursor === undefined ? '' : `&cursor=${encodeURIComponent(cursor)}`
        const page = await request<Page>(
          `/token-usage/all?${query}&limit=${PAGE_CALLS}${place}`,
          signal ? { signal } : {},
        )
        if (!signal?.aborted) setState({ query, records: [...known, ...page.records], next: page.next_cursor })
      } catch (error) {
        if (error instanceof RequestFailed && !signal?.aborted) setFailure(error)
      }
      if (!signal?.aborted) setLoading(false)
    },
    [query],
  )
  useEffect(() => {
    const ended = new AbortController()
    void read(undefined, [], ended.signal)
    return () => ended.abort()
  }, [read])
  const isCurrent = state.query === query
  return {
    /** Those of the query before stay while the next are read. */
    records: state.records,
    hasMore: isCurrent && typeof state.next === 'string',
    failure,
    isLoading,
    readMore: () => void read(isCurrent ? (state.next ?? undefined) : undefined, isCurrent ? state.records : []),
  }
}

function RecordTable({ records }: { readonly records: readonly Call[] }) {
  return (
    <div className="scroll">
      <table className="tail">
        <TableHead
          columns={[
            ['Time'],
            ['Outcome'],
            ['Who', 'p2'],
            ['Model'],
            ['In', 'num p3'],
            ['Out', 'num p3'],
            ['Took', 'num p3'],
            ['Cost', 'num edge'],
          ]}
        />
        <tbody>
          {records.map((call) => (
            <RecordRow key={call.id} call={call} />
          ))}
        </tbody>
      </table>
    </div>
  )
}

function RecordRow({ call }: { readonly call: Call }) {
  const who = [call.key, call.user_id].filter((name) => name !== null && name !== '').join(' · ')
  return (
    <tr>
      <td className="nowrap">
        <Link href={`/calls/${encodeURIComponent(call.adjusts ?? call.id)}`} className="cell">
          <time dateTime={call.timestamp} title={call.timestamp}>
            {dateText(call.timestamp)} {clockTime(call.timestamp)}
          </time>
        </Link>
      </td>
      <td>
        <CallState status={call.outcome} />
        {call.certainty !== 'exact' && <span className="sub">{call.certainty.replace('_', ' ')}</span>}
      </td>
      <td className="p2">{who === '' ? <span className="muted">no key</span> : who}</td>
      <td className="model">
        {call.model}
        {who !== '' && <span className="sub only-s">{who}</span>}
      </td>
      <td className="num p3">
        <Count value={call.input_tokens} />
      </td>
      <td className="num p3">
        <Count value={call.output_tokens} />
      </td>
      <td className="num p3">{duration(call.latency_ms)}</td>
      <td className="num edge">
        <Money usd={call.total_cost} />
      </td>
    </tr>
  )
}
