// One call: what was reserved, what each attempt cost, what the provider said; or why the call was refused, and what would have fitted.

import { type FormEvent, type ReactNode, useEffect, useState } from 'react'
import { useLocation } from 'wouter'
import type { ExplainedJson, RefusedJson } from '../../http/call-views.ts'
import { type Received, RequestFailed, request } from '../data/api.ts'
import { clockTime, count, duration, exactMoney, money } from '../data/format.ts'
import { CallState } from '../parts/call-state.tsx'
import { CopyButton } from '../parts/copy.tsx'
import { Amount, amountText } from '../parts/figures.tsx'
import { Icon } from '../parts/icons.tsx'
import { TableHead } from '../parts/table-head.tsx'

type Explained = Received<ExplainedJson>
type Refused = Received<RefusedJson>

/** A running call is read again until it is settled. */
const REFRESH_MS = 2_000

export function Call({ id, mayCorrect }: { readonly id: string; readonly mayCorrect: boolean }) {
  const { call, failure, tryAgain } = useCall(id)
  const [, navigate] = useLocation()
  return (
    <>
      <p>
        <button type="button" className="link" onClick={() => (history.length > 1 ? history.back() : navigate('/'))}>
          ← Back
        </button>
      </p>
      {failure ? (
        <CallFailure failure={failure} onTryAgain={tryAgain} />
      ) : call === undefined ? (
        <span className="sk b" role="status" aria-label="Loading" />
      ) : call.status === 'refused' ? (
        <RefusedCall call={call} />
      ) : (
        <>
          <ReservedCall call={call} />
          {mayCorrect && call.cost_usd && call.status !== 'adjusted' && <Correct call={call} onCorrected={tryAgain} />}
        </>
      )}
    </>
  )
}

function useCall(id: string) {
  const [call, setCall] = useState<Explained | Refused>()
  const [failure, setFailure] = useState<RequestFailed>()
  const [attempt, setAttempt] = useState(0)
  // biome-ignore lint/correctness/useExhaustiveDependencies: an attempt reads anew.
  useEffect(() => {
    const ended = new AbortController()
    let timer: ReturnType<typeof setTimeout> | undefined
    const read = async () => {
      try {
        const answer = await request<ExplainedJson | RefusedJson>(`/llm/explain/${encodeURIComponent(id)}`, {
          signal: ended.signal,
        })
        setCall(answer)
        setFailure(undefined)
        if (answer.status === 'in_flight') timer = setTimeout(read, REFRESH_MS)
      } catch (error) {
        if (error instanceof RequestFailed) setFailure(error)
      }
    }
    void read()
    return () => {
      ended.abort()
      clearTimeout(timer)
    }
  }, [id, attempt])
  return { call, failure, tryAgain: () => setAttempt((known) => known + 1) }
}

function CallFailure({ failure, onTryAgain }: { readonly failure: RequestFailed; readonly onTryAgain: () => void }) {
  return (
    <section className="card">
      <div className="empty" role="alert">
        <Icon name={failure.status === 404 ? 'unknown' : 'off'} />
        <h2>{failure.status === 404 ? 'This call is not kept' : 'This call could not be loaded'}</h2>
        <p>
          {failure.status === 404
            ? `${failure.message} It may also have been made with another key.`
            : `${failure.message} Calls are not affected.`}
        </p>
        <button type="button" className="btn" onClick={onTryAgain}>
          Try again
        </button>
      </div>
    </section>
  )
}

/** One sentence on what happened, before all figures. */
function Verdict({
  title,
  children,
  isGood,
}: {
  readonly title: string
  readonly children: ReactNode
  readonly isGood: boolean
}) {
  return (
    <section className="card">
      <div className={isGood ? 'verdict good' : 'verdict'}>
        <span className="badge">
          <Icon name={isGood ? 'ok' : 'refused'} />
        </span>
        <h2>{title}</h2>
        <p className="muted">{children}</p>
      </div>
    </section>
  )
}

function ReservedCall({ call }: { readonly call: Explained }) {
  const cost = call.adjusted_cost_usd
  const title =
    cost === null
      ? `Running. At most ${exactMoney(call.reserved.cost_usd)} is reserved for it.`
      : `${exactMoney(cost)} of ${exactMoney(call.reserved.cost_usd)} reserved`
  return (
    <>
      <Verdict title={title} isGood={call.status === 'completed' || call.status === 'in_flight'}>
        {endingText(call)}
      </Verdict>
      <div className="grid">
        <Facts title="Cost" facts={costFacts(call)} />
        <Facts title="Who and what" facts={callerFacts(call)} />
        <Attempts call={call} />
        {call.adjustments.length > 0 && <Corrections call={call} />}
      </div>
    </>
  )
}

function endingText(call: Explained): string {
  const took = call.latency_ms === null ? '' : ` after ${duration(call.latency_ms)}`
  const provider = call.provider
  switch (call.status) {
    case 'in_flight':
      return 'What it does cost is settled when it ends, and the rest is free again.'
    case 'completed':
      if (call.dialect === 'tracked') return 'Made elsewhere, and tracked here.'
      return `Answered${took}. The rest of the reservation is free again.`
    case 'failed':
      return `It failed at ${provider}${took}. ${certaintyText(call)}`
    case 'canceled':
      return `The client left${took}. ${certaintyText(call)}`
    case 'expired':
      return 'It never ended within its time, or the gateway ended before it: the whole reservation is booked.'
    case 'adjusted':
      return `No call, but the correction of ${call.adjusts?.call_id ?? 'one'}: ${call.adjusts?.reason ?? ''}`
  }
}

function certaintyText({ certainty }: Explained): string {
  if (certainty === 'exact') return 'What is booked is what the provider said.'
  if (certainty === 'estimated') return 'What is booked is counted from what arrived.'
  return 'The provider said no figure, so the most it can have cost is booked.'
}

type Fact = readonly [name: string, value: ReactNode]

function Facts({ title, facts }: { readonly title: string; readonly facts: readonly (Fact | undefined)[] }) {
  return (
    <section className="card c6" aria-label={title}>
      <header>
        <h2>{title}</h2>
      </header>
      <div className="body">
        <dl className="facts one">
          {facts.map(
            (fact) =>
              fact && (
                <div key={fact[0]}>
                  <dt>{fact[0]}</dt>
                  <dd>{fact[1]}</dd>
                </div>
              ),
          )}
        </dl>
      </div>
    </section>
  )
}

function costFacts(call: Explained): readonly (Fact | undefined)[] {
  const { cost_usd: cost, tokens, usage, reserved, provider_cost_usd: stated } = call
  return [
    ['State', <CallState key="state" status={call.status} />],
    cost ? ['Settled', exactMoney(cost.total)] : undefined,
    cost ? ['Input, output', `${exactMoney(cost.input)}, ${exactMoney(cost.output)}`] : undefined,
    call.adjustments.length > 0 && call.adjusted_cost_usd !== null
      ? ['With corrections', exactMoney(call.adjusted_cost_usd)]
      : undefined,
    ['Reserved', `${exactMoney(reserved.cost_usd)}, ${count(reserved.tokens)} tokens`],
    stated === null ? undefined : ['The provider stated', exactMoney(stated)],
    tokens ? ['Tokens in, out', `${count(tokens.input)}, ${count(tokens.output)}`] : undefined,
    ...Object.entries(usage ?? {}).flatMap(([name, units]): Fact[] =>
      units > 0 && name !== 'requests' ? [[name.replaceAll('_', ' '), count(units)]] : [],
    ),
    ['Certainty', call.certainty === null ? 'not yet' : call.certainty.replaceAll('_', ' ')],
    ['Prices', call.cost_known ? (call.price_version ?? 'as the provider stated') : 'unknown'],
  ]
}

function callerFacts(call: Explained): readonly (Fact | undefined)[] {
  const optional = (name: string, value: string | null): Fact | undefined => (value ? [name, value] : undefined)
  return [
    [
      'Call',
      <span key="id" className="row">
        <code>{call.call_id}</code>
        <CopyButton text={call.call_id} />
      </span>,
    ],
    ['Reserved at', `${clockTime(call.reserved_at)} your time (${call.reserved_at})`],
    call.settled_at === null ? undefined : ['Settled at', clockTime(call.settled_at)],
    ['Model', `${call.provider}/${call.model}`],
    optional('Answered by', call.answered_model),
    ['Key', call.key ?? 'no key'],
    optional('User', call.user),
    optional('Thread', call.thread),
    optional('Agent', call.agent),
    optional('Task', call.task),
    optional('Project', call.project),
    optional('Operation', call.operation),
    ['Dialect', `${call.dialect.replaceAll('_', ' ')}, ${call.streaming ? 'streamed' : 'whole'}`],
    call.latency_ms === null ? undefined : ['Took', duration(call.latency_ms)],
    call.time_to_first_token_ms === null ? undefined : ['First token', duration(call.time_to_first_token_ms)],
    call.max_output_tokens.set_by_gateway === null
      ? undefined
      : ['Output cap', `${count(call.max_output_tokens.set_by_gateway)} tokens, set by the gateway`],
    call.simulated ? ['Money', 'simulated'] : undefined,
  ]
}

function Attempts({ call }: { readonly call: Explained }) {
  if (call.attempts.length === 0) return null
  return (
    <section className="card" aria-labelledby="attempts">
      <header>
        <h2 id="attempts">Attempts</h2>
      </header>
      <div className="scroll">
        <table>
          <TableHead columns={[['Target'], ['Answer'], ['Took', 'num'], ['Cost', 'num']]} />
          <tbody>
            {call.attempts.map(({ provider, model, status, error, duration_ms, cost_usd }, index) => (
              // biome-ignore lint/suspicious/noArrayIndexKey: attempts have an order and no name.
              <tr key={index}>
                <th scope="row" className="model">
                  {provider}/{model}
                </th>
                <td>
                  {status ?? 'no answer'}
                  {error !== null && <span className="sub">{error}</span>}
                </td>
                <td className="num">{duration(duration_ms)}</td>
                <td className="num">{exactMoney(cost_usd)}</td>
              </tr>
            ))}
          </tbody>
        </table>
      </div>
    </section>
  )
}

function Corrections({ call }: { readonly call: Explained }) {
  return (
    <section className="card" aria-labelledby="corrections">
      <header>
        <h2 id="corrections">Corrections</h2>
      </header>
      <div className="scroll">
        <table>
          <TableHead columns={[['When'], ['Why'], ['Difference', 'num']]} />
          <tbody>
            {call.adjustments.map(({ adjustment_id, settled_at, reason, difference_usd }) => (
              <tr key={adjustment_id}>
                <td className="nowrap">
                  <time dateTime={settled_at}>{clockTime(settled_at)}</time>
                </td>
                <td>{reason}</td>
                <td className="num">{exactMoney(difference_usd)}</td>
              </tr>
            ))}
          </tbody>
        </table>
      </div>
    </section>
  )
}

/** What the provider's invoice says, if the ledger has another figure. */
function Correct({ call, onCorrected }: { readonly call: Explained; readonly onCorrected: () => void }) {
  const [cost, setCost] = useState('')
  const [reason, setReason] = useState('')
  const [state, setState] = useState<'idle' | 'sending' | 'done' | { readonly failure: string }>('idle')
  const send = async (event: FormEvent) => {
    event.preventDefault()
    setState('sending')
    try {
      const body = { call_id: call.call_id, cost_usd: cost.trim(), reason: reason.trim() }
      await request('/admin/adjustments', { method: 'POST', body })
      setState('done')
      setCost('')
      setReason('')
      onCorrected()
    } catch (error) {
      setState({ failure: error instanceof RequestFailed ? error.message : 'The correction was not sent.' })
    }
  }
  return (
    <section className="card" aria-labelledby="correct">
      <header>
        <h2 id="correct">Correct the cost</h2>
        <p>the call stays as it is; the difference is booked beside it, and in the audit</p>
      </header>
      <form className="body row" onSubmit={(event) => void send(event)}>
        <label className="field">
          It did cost, in dollars
          <input
            type="text"
            inputMode="decimal"
            required
            pattern="\d+(\.\d{1,9})?"
            title="Dollars, with nine decimals at most"
            value={cost}
            onChange={({ target }) => setCost(target.value)}
          />
        </label>
        <label className="field grow">
          Why
          <input
            type="text"
            required
            maxLength={500}
            placeholder="the invoice of November"
            value={reason}
            onChange={({ target }) => setReason(target.value)}
          />
        </label>
        <button type="submit" className="btn" disabled={state === 'sending'}>
          Correct
        </button>
        <span className="small" role="status">
          {state === 'done' ? 'Corrected.' : typeof state === 'object' ? state.failure : ''}
        </span>
      </form>
    </section>
  )
}

function RefusedCall({ call }: { readonly call: Refused }) {
  const { refusal, quote } = call
  const { unit } = refusal
  return (
    <>
      <Verdict title="Refused before it was sent. It cost nothing." isGood={false}>
        {call.message}
      </Verdict>
      <div className="grid">
        <Facts
          title="Why"
          facts={[
            ['Limit', refusal.limits.map((limit) => limit.replaceAll('_', ' ')).join(', ')],
            ['Whose', refusal.subject],
            ['Needed', <Amount key="needed" unit={unit} value={refusal.needed} rounding="up" />],
            ['Free', <Amount key="free" unit={unit} value={refusal.free} rounding="down" />],
            ['Of', <Amount key="capacity" unit={unit} value={refusal.capacity} />],
          ]}
        />
        <Facts
          title="What would have fitted"
          facts={[
            refusal.fitting_max_output_tokens === null
              ? undefined
              : ['Output cap', `at most ${count(refusal.fitting_max_output_tokens)} tokens out (max_tokens)`],
            refusal.reason === 'never'
              ? ['Waiting', `never: it needs more than ${amountText(unit, refusal.capacity)}, which is all there is`]
              : [
                  'Waiting',
                  refusal.retry_after_ms === null
                    ? 'until calls in flight end'
                    : `${duration(refusal.retry_after_ms)} from then on`,
                ],
            refusal.resets_at === null ? undefined : ['Resets at', clockTime(refusal.resets_at)],
            [
              'Quote',
              `${money(quote.cost_usd, 'up')} at most: ${count(quote.input_tokens)} tokens in, ${count(quote.output_tokens)} out`,
            ],
            ['Key', call.key ?? 'no key'],
            ['Model', `${call.provider}/${call.model}`],
            ['Refused at', `${clockTime(call.refused_at)} your time`],
          ]}
        />
      </div>
    </>
  )
}
