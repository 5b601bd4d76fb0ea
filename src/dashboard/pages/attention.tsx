// Attention: what stops calls or will, most urgent first. Each is a fact, a consequence and one action.

import { useState } from 'react'
import { Link } from 'wouter'
import type { Attention } from '../data/live-state.ts'
import { Icon, type IconName } from '../parts/icons.tsx'

const ICONS: Readonly<Record<Attention['severity'], IconName>> = { bad: 'refused', warn: 'warn', info: 'info' }
const SHOWN_AT_FIRST = 4

export function AttentionCard({ items, summary }: { readonly items: readonly Attention[]; readonly summary: string }) {
  const [showsAll, setShowsAll] = useState(false)
  if (items.length === 0)
    return (
      <p className="banner ok" role="status">
        <Icon name="ok" />
        <b>All well.</b> <span>{summary}</span>
      </p>
    )
  const shown = showsAll ? items : items.slice(0, SHOWN_AT_FIRST)
  return (
    <section className="card attention" aria-labelledby="attention">
      <header>
        <h2 id="attention">Needs attention</h2>
        <p>{items.length === 1 ? '1 open' : `${items.length} open, most urgent first`}</p>
      </header>
      <ul>
        {shown.map(({ kind, severity, subject, title, text, act }) => (
          <li key={`${kind} ${subject ?? ''} ${title}`} className={severity}>
            <Icon name={kind === 'provider_down' ? 'failed' : ICONS[severity]} />
            <div className="say">
              <b>{title}</b>
              <span>{text}</span>
            </div>
            {act === 'calls' && subject !== null && (
              <div className="do">
                <Link className="btn small" href={`/calls?days=1&model=${encodeURIComponent(subject)}`}>
                  See calls
                </Link>
              </div>
            )}
          </li>
        ))}
      </ul>
      {items.length > SHOWN_AT_FIRST && (
        <footer>
          <button type="button" className="btn small" onClick={() => setShowsAll(!showsAll)}>
            {showsAll ? 'Show fewer' : `Show ${items.length - SHOWN_AT_FIRST} more`}
          </button>
        </footer>
      )}
    </section>
  )
}
