// Usage: where does the money go? Over time, by what, against the period before, and what would cost less.

import { useMemo } from 'react'
import { Link } from 'wouter'
import type { RecommendationsJson } from '../../http/recommendations.ts'
import type { ForecastJson, SeriesJson } from '../../http/usage-series.ts'
import type { SumJson } from '../../http/usage-views.ts'
import { addressOf, type Received } from '../data/api.ts'
import { type FilterName, type Filters, reportQuery, useFilters } from '../data/filters.ts'
import { change, count, duration, money, share } from '../data/format.ts'
import type { Session } from '../data/session.ts'
import { useAnswer } from '../data/use-answer.ts'
import { Count, Money } from '../parts/figures.tsx'
import { Icon } from '../parts/icons.tsx'
import { Failure, Loading } from '../parts/loading.tsx'
import type { Colour } from '../parts/plot.tsx'
import { Segments } from '../parts/segments.tsx'
import { StackedChart, type StackedSeries } from '../parts/stacked-chart.tsx'
import { TableHead } from '../parts/table-head.tsx'
import { Toolbar } from '../parts/toolbar.tsx'
import { SimulatedPill } from './today.tsx'

export const DEFAULT_DAYS = '30'
const GROUPINGS = [
  ['model', 'Model'],
  ['provider', 'Provider'],
  ['project', 'Project'],
  ['key', 'Key'],
  ['user', 'User'],
  ['agent', 'Agent'],
  ['operation', 'Operation'],
] as const
type Grouping = (typeof GROUPINGS)[number][0]
const MEASURES = [
  ['cost', 'Cost'],
  ['tokens', 'Tokens'],
  ['requests', 'Calls'],
] as const
type Measure = (typeof MEASURES)[number][0]
const COLOURS: readonly Colour[] = ['--s1', '--s2', '--s3', '--s4', '--s5', '--s6', '--s7', '--s8']
const TOP = 10
const NO_VALUE = '(none)'
const OTHERS = 'other'

export function Usage({ session }: { readonly session: Session }) {
  const filters = useFilters()
  const by = GROUPINGS.find(([name]) => name === filters.get('by'))?.[0] ?? 'model'
  const measure = MEASURES.find(([name]) => name === filters.get('measure'))?.[0] ?? 'cost'
  const query = reportQuery(filters, DEFAULT_DAYS)
  const step = filters.get('step')
  const compare = filters.get('compare') === 'none' ? 'none' : 'before'
  const series = useAnswer<SeriesJson>(
    `/token-usage/series?${reportQuery(filters, DEFAULT_DAYS, { by, compare, ...(step ? { step } : {}) })}`,
  )
  return (
    <>
      <Toolbar filters={filters} defaultDays={DEFAULT_DAYS} timeZone={session.time_zone} />
      <div className="row noprint">
        <Segments
          label="By"
          choices={GROUPINGS}
          chosen={by}
          onChoose={(chosen) => filters.set({ by: chosen, hide: undefined })}
        />
        <Segments
          label="Figure"
          choices={MEASURES}
          chosen={measure}
          onChoose={(chosen) => filters.set({ measure: chosen })}
        />
        <span className="row end">
          <a className="btn" href={addressOf(`/token-usage/all?${query}&format=csv`)} download>
            <Icon name="download" />
            CSV
          </a>
          <button type="button" className="btn hide-s" onClick={() => print()}>
            <Icon name="print" />
            Print
          </button>
        </span>
      </div>
      {series.failure && !series.answer ? (
        <section className="card">
          <Failure failure={series.failure} onTryAgain={series.tryAgain} />
        </section>
      ) : !series.answer ? (
        <section className="card">
          <Loading />
        </section>
      ) : (
        <>
          <Headline answer={series.answer} filters={filters} />
          <Chart answer={series.answer} filters={filters} measure={measure} />
        </>
      )}
      <div className="grid">
        <Top by={by} query={query} filters={filters} />
        <Speed query={query} />
      </div>
      <Savings query={query} />
    </>
  )
}

function Headline({ answer, filters }: { readonly answer: Received<SeriesJson>; readonly filters: Filters }) {
  const { total, before, simulated, period } = answer
  const average = total.total_requests === 0 ? 0 : total.total_cost / total.total_requests
  return (
    <section className="grid fill" aria-label="The period">
      <div className="card c5 w4">
        <dl className="fig">
          <dt>Cost of the period {simulated && <SimulatedPill />}</dt>
          <dd className="huge">
            <Money usd={total.total_cost} />
          </dd>
          {before && <dd>{change(total.total_cost, before.total_cost, money)}</dd>}
          <dd className="print">
            {period.from} to {period.to}, days of {period.time_zone}
            {filters.ofCalls.map(([name, value]) => `, ${name} ${value}`).join('')}
          </dd>
        </dl>
      </div>
      <div className="card c7 w8">
        <div className="figs">
          <dl className="fig">
            <dt>Calls</dt>
            <dd className="big">
              <Count value={total.total_requests} />
            </dd>
            {before && <dd>{change(total.total_requests, before.total_requests, count)}</dd>}
          </dl>
          <dl className="fig">
            <dt>Tokens</dt>
            <dd className="big">
              <Count value={total.total_tokens} />
            </dd>
            {before && <dd>{change(total.total_tokens, before.total_tokens, count)}</dd>}
          </dl>
          <dl className="fig">
            <dt>A call, on average</dt>
            <dd className="big">
              <Money usd={average} />
            </dd>
          </dl>
          <Forecast filters={filters} />
        </div>
      </div>
    </section>
  )
}

function Forecast({ filters }: { readonly filters: Filters }) {
  const query = new URLSearchParams({ window: 'month' })
  for (const [name, value] of filters.ofCalls) query.set(name, value)
  const zone = filters.get('tz')
  if (zone !== undefined) query.set('tz', zone)
  const { answer } = useAnswer<ForecastJson>(`/token-usage/forecast?${query}`)
  return (
    <dl className="fig">
      <dt>This month, expected</dt>
      <dd className="big">{answer?.expected == null ? 'not yet' : <Money usd={answer.expected} rounding="up" />}</dd>
      {answer && (
        <dd title={answer.rule}>
          {money(answer.spent)} so far
          {answer.usual_day === null ? '' : `, ${money(answer.usual_day)} on a usual day`}
        </dd>
      )}
    </dl>
  )
}

function Chart({
  answer,
  filters,
  measure,
}: {
  readonly answer: Received<SeriesJson>
  readonly filters: Filters
  readonly measure: Measure
}) {
  const { step, period } = answer
  const shown = measure === 'cost' ? (value: number) => money(value) : (value: number) => count(value)
  const parts = useMemo(() => partNames(answer.parts, step, period.time_zone), [answer.parts, step, period.time_zone])
  const series = useMemo(() => seriesOf(answer, measure), [answer, measure])
  const hidden = new Set((filters.get('hide') ?? '').split('\u001f').filter((name) => name !== ''))
  const { total, before } = answer
  const steps = { quarter_hour: 'quarter hour', hour: 'hour', day: 'day', week: 'week', month: 'month' }
  return (
    <StackedChart
      title={`${measure === 'cost' ? 'Cost' : measure === 'tokens' ? 'Tokens' : 'Calls'} by ${steps[step]}`}
      subtitle={`stacked by ${answer.by}, days of ${period.time_zone}`}
      parts={parts}
      series={series}
      total={{ values: total[measure], sum: sumOf(total, measure) }}
      before={before ? { values: before[measure], sum: sumOf(before, measure) } : undefined}
      hidden={hidden}
      onHide={(next) => filters.set({ hide: next.size === 0 ? undefined : [...next].join('\u001f') })}
      shown={shown}
    />
  )
}

type Sums = Received<SeriesJson>['total']

function sumOf(sums: Sums, measure: Measure): number {
  return measure === 'cost' ? sums.total_cost : measure === 'tokens' ? sums.total_tokens : sums.total_requests
}

function seriesOf({ series, others }: Received<SeriesJson>, measure: Measure): readonly StackedSeries[] {
  const named = series.map((sums, index) => ({
    name: sums.value ?? NO_VALUE,
    colour: COLOURS[index] ?? '--s0',
    values: sums[measure],
    sum: sumOf(sums, measure),
  }))
  if (!others) return named
  const name = `${OTHERS} (${count(others.count)})`
  return [...named, { name, colour: '--s0', values: others[measure], sum: sumOf(others, measure) }]
}

/** The names of parts in the zone of the report: `23 Nov`, `14:00`. */
function partNames(parts: readonly string[], step: Received<SeriesJson>['step'], timeZone: string): readonly string[] {
  const zone = /^[+-]/.test(timeZone) ? 'UTC' : timeZone
  const isTime = step === 'hour' || step === 'quarter_hour'
  const format = new Intl.DateTimeFormat('en-GB', {
    timeZone: zone,
    ...(isTime
      ? { weekday: 'short', hour: '2-digit', minute: '2-digit' }
      : step === 'month'
        ? { month: 'short', year: 'numeric' }
        : { day: 'numeric', month: 'short' }),
  })
  return parts.map((part) => format.format(new Date(part)))
}

interface Groups {
  readonly total_cost: number
  readonly groups: readonly (Received<SumJson> & Readonly<Record<string, unknown>>)[]
  readonly others: (Received<SumJson> & { readonly count: number }) | null
}

/** The dearest values. Each leads to its own report, and to its calls. */
function Top({ by, query, filters }: { readonly by: Grouping; readonly query: string; readonly filters: Filters }) {
  const { answer, failure, tryAgain } = useAnswer<Groups>(`/token-usage/by-${by}?${query}&limit=${TOP}`)
  return (
    <section className="card c7 w8" aria-labelledby="top">
      <header>
        <h2 id="top">By {by}</h2>
        <p>dearest first</p>
      </header>
      {failure && !answer ? (
        <Failure failure={failure} onTryAgain={tryAgain} />
      ) : !answer ? (
        <Loading />
      ) : answer.groups.length === 0 ? (
        <div className="empty">
          <h3>No calls in this time</h3>
          <p>Choose a longer period, or remove a filter.</p>
        </div>
      ) : (
        <div className="scroll">
          <table>
            <thead>
              <tr>
                <th scope="col">{by}</th>
                <th scope="col" className="num">
                  Cost
                </th>
                <th scope="col" className="num p2">
                  Share
                </th>
                <th scope="col" className="num p2">
                  Calls
                </th>
                <th scope="col" className="num p3">
                  Tokens
                </th>
                <th scope="col" className="num p3">
                  A call
                </th>
                <th scope="col" className="num noprint">
                  <span className="vh">Calls</span>
                </th>
              </tr>
            </thead>
            <tbody>
              {answer.groups.map((group) => (
                <TopRow key={String(group[by])} by={by} group={group} total={answer.total_cost} filters={filters} />
              ))}
              {answer.others && (
                <tr>
                  <th scope="row" className="muted">
                    {count(answer.others.count)} {answer.others.count === 1 ? 'other' : 'others'}
                  </th>
                  <SumCells sum={answer.others} total={answer.total_cost} />
                  <td className="noprint" />
                </tr>
              )}
            </tbody>
          </table>
        </div>
      )}
    </section>
  )
}

function TopRow({
  by,
  group,
  total,
  filters,
}: {
  readonly by: Grouping
  readonly group: Groups['groups'][number]
  readonly total: number
  readonly filters: Filters
}) {
  const value = group[by]
  const name = typeof value === 'string' ? value : ''
  return (
    <tr>
      <th scope="row" className="model">
        <button
          type="button"
          className="link"
          onClick={() => filters.set({ [by]: name, by: by === 'model' ? 'user' : 'model', hide: undefined })}
        >
          {name === '' ? NO_VALUE : name}
        </button>
      </th>
      <SumCells sum={group} total={total} />
      <td className="num noprint">
        <Link href={callsAddress(filters, { [by]: name })}>calls</Link>
      </td>
    </tr>
  )
}

/** The list of calls with the filters of this page, and one more. */
function callsAddress(filters: Filters, more: Readonly<Partial<Record<FilterName, string>>>): string {
  return `/calls?${reportQuery(filters, DEFAULT_DAYS, more as Record<string, string>)}`
}

function SumCells({ sum, total }: { readonly sum: Received<SumJson>; readonly total: number }) {
  return (
    <>
      <td className="num">
        <Money usd={sum.total_cost} />
      </td>
      <td className="num p2">{total > 0 ? share(sum.total_cost / total) : '–'}</td>
      <td className="num p2">
        <Count value={sum.total_requests} />
      </td>
      <td className="num p3">
        <Count value={sum.total_tokens} />
      </td>
      <td className="num p3">
        <Money usd={sum.average_cost} />
      </td>
    </>
  )
}

function Speed({ query }: { readonly query: string }) {
  const { answer, failure, tryAgain } = useAnswer<Groups>(`/token-usage/by-provider?${query}&limit=${TOP}`)
  return (
    <section className="card c5 w4" aria-labelledby="speed">
      <header>
        <h2 id="speed">Latency and errors</h2>
        <p>completed calls</p>
      </header>
      {failure && !answer ? (
        <Failure failure={failure} onTryAgain={tryAgain} />
      ) : !answer ? (
        <Loading />
      ) : answer.groups.length === 0 ? (
        <div className="empty">
          <p>No calls in this time.</p>
        </div>
      ) : (
        <div className="scroll">
          <table>
            <TableHead
              columns={[['Provider'], ['p50', 'num'], ['p95', 'num'], ['First token', 'num p2'], ['Errors', 'num']]}
            />
            <tbody>
              {answer.groups.map((group) => (
                <tr key={String(group.provider)}>
                  <th scope="row">{String(group.provider)}</th>
                  <td className="num">{timeText(group.latency_ms.p50)}</td>
                  <td className="num">{timeText(group.latency_ms.p95)}</td>
                  <td className="num p2">{timeText(group.time_to_first_token_ms.p50)}</td>
                  <td className="num">{share(group.error_rate)}</td>
                </tr>
              ))}
            </tbody>
          </table>
        </div>
      )}
    </section>
  )
}

function timeText(ms: number | null): string {
  return ms === null ? '–' : duration(ms)
}

const KINDS: Readonly<Record<Received<RecommendationsJson>['recommendations'][number]['kind'], string>> = {
  cheaper_model: 'A cheaper model',
  caching: 'Caching',
  batch: 'Batches',
  long_prompts: 'Long prompts',
  high_output_caps: 'High output caps',
}

function Savings({ query }: { readonly query: string }) {
  const { answer, failure, tryAgain } = useAnswer<RecommendationsJson>(`/token-usage/recommendations?${query}&limit=6`)
  if (failure && !answer)
    return (
      <section className="card">
        <Failure failure={failure} onTryAgain={tryAgain} />
      </section>
    )
  if (!answer || answer.recommendations.length === 0) return null
  return (
    <section className="card" aria-labelledby="savings">
      <header>
        <h2 id="savings">What would cost less</h2>
        <p>by the price list of today</p>
      </header>
      <div className="scroll">
        <table>
          <TableHead columns={[['What'], ['Arithmetic', 'p2'], ['Saving', 'num']]} />
          <tbody>
            {answer.recommendations.map(({ kind, model, to, caller, explanation, saving, is_bound, held_per_call }) => (
              <tr key={`${kind} ${model} ${to} ${caller?.key} ${caller?.user}`}>
                <th scope="row">
                  {KINDS[kind]}: {model}
                  {to === null ? '' : ` → ${to}`}
                  {caller && <span className="sub">{[caller.key, caller.user].filter(Boolean).join(' · ')}</span>}
                </th>
                <td className="small muted p2">{explanation}</td>
                <td className="num">
                  {kind === 'high_output_caps'
                    ? `${money(held_per_call)} held a call`
                    : `${is_bound ? '≤ ' : ''}${money(saving)}`}
                </td>
              </tr>
            ))}
          </tbody>
        </table>
      </div>
      <footer>{answer.note}</footer>
    </section>
  )
}
