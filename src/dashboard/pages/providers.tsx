// Providers: errors and latency of the last quarter hour, circuits, and what is left of the provider's own limits.

import { duration, share } from '../data/format.ts'
import type { LiveProvider } from '../data/live-state.ts'
import { Icon } from '../parts/icons.tsx'
import { TableHead } from '../parts/table-head.tsx'

export function Providers({ providers }: { readonly providers: readonly LiveProvider[] }) {
  const used = providers.filter(({ configured, calls }) => configured || calls > 0)
  return (
    <section className="card c4 w4" aria-labelledby="providers">
      <header>
        <h2 id="providers">Providers</h2>
        <p>last 15 min</p>
      </header>
      {used.length === 0 ? (
        <div className="empty">
          <h3>No provider has a key</h3>
          <p>
            <code>sim/</code> models answer without one. Set <code>OPENAI_API_KEY</code> or another, and start again.
          </p>
        </div>
      ) : (
        <div className="scroll">
          <table>
            <TableHead columns={[['Provider'], ['Errors', 'num'], ['p50', 'num'], ['Their limit left', 'num']]} />
            <tbody>
              {used.map((provider) => (
                <ProviderRow key={provider.name} provider={provider} />
              ))}
            </tbody>
          </table>
        </div>
      )}
      <footer>Shares of each provider’s own rate limits, as its last answer said.</footer>
    </section>
  )
}

function ProviderRow({ provider }: { readonly provider: LiveProvider }) {
  const { name, calls, error_rate: errorRate, latency_ms_p50: latency, upstream_rate_limits: limits } = provider
  const left = limits && leftOf(limits.remaining_requests, limits.limit_requests)
  const tokensLeft = limits && leftOf(limits.remaining_tokens, limits.limit_tokens)
  return (
    <tr>
      <th scope="row">
        {name}
        <span className="sub">
          <Health provider={provider} />
        </span>
      </th>
      <td className="num">{calls === 0 || errorRate === null ? '–' : share(errorRate)}</td>
      <td className="num">{latency === null ? '–' : duration(latency)}</td>
      <td className="num">
        {left === null ? <span className="muted">not said</span> : share(left)}
        {tokensLeft !== null && <span className="sub">tokens {share(tokensLeft)}</span>}
      </td>
    </tr>
  )
}

function leftOf(remaining: number | null, limit: number | null): number | null {
  return remaining === null || limit === null || limit <= 0 ? null : remaining / limit
}

function Health({ provider: { targets, calls, errors } }: { readonly provider: LiveProvider }) {
  const open = targets.filter(({ circuit }) => circuit !== 'closed')
  if (open.length > 0)
    return (
      <span className="st bad">
        <Icon name="failed" />
        {open.length === 1 ? 'circuit open' : `${open.length} circuits open`}
      </span>
    )
  if (errors > 0)
    return (
      <span className="st warn">
        <Icon name="warn" />
        {errors} of {calls} failed
      </span>
    )
  return (
    <span className={calls === 0 ? 'muted' : 'st ok'}>
      {calls === 0 ? (
        'no calls'
      ) : (
        <>
          <Icon name="ok" />
          ok
        </>
      )}
    </span>
  )
}
