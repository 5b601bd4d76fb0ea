// Shell: navigation, the head of a page with its tools, and what is said of the connection.

import { type ReactNode, useEffect, useRef, useState } from 'react'
import { Link, useLocation } from 'wouter'
import { GATEWAY } from '../data/api.ts'
import { clockTime, duration } from '../data/format.ts'
import { applyTheme, currentTheme, nextTheme } from '../data/preferences.ts'
import type { Session } from '../data/session.ts'
import type { Live } from '../data/use-live.ts'
import { Icon, type IconName, Mark } from './icons.tsx'

interface PageLink {
  readonly path: string
  readonly name: string
  readonly icon: IconName
}

const PAGES: readonly PageLink[] = [
  { path: '/', name: 'Now', icon: 'now' },
  { path: '/usage', name: 'Usage', icon: 'usage' },
  { path: '/calls', name: 'Calls', icon: 'calls' },
]

interface ShellProps {
  readonly title: string
  readonly session: Session
  readonly live: Live
  readonly attentionCount: number
  readonly onSignOut: () => void
  readonly onHelp: () => void
  readonly children: ReactNode
}

export function Shell({ title, session, live, attentionCount, onSignOut, onHelp, children }: ShellProps) {
  const [location] = useLocation()
  const isCurrent = (path: string) => (path === '/' ? location === '/' : location.startsWith(path))
  return (
    <>
      <a className="skip" href="#main">
        Skip to content
      </a>
      <div className="shell">
        <nav className="nav" aria-label="Main">
          <Link className="brand" href="/" aria-label="Bursar, now">
            <Mark />
            <span className="t">Bursar</span>
          </Link>
          <ul>
            {PAGES.map(({ path, name, icon }) => (
              <li key={name}>
                <Link href={path} aria-current={isCurrent(path) ? 'page' : undefined}>
                  <Icon name={icon} />
                  <span className="t">{name}</span>
                  {path === '/' && attentionCount > 0 && (
                    <span className="count">
                      {attentionCount}
                      <span className="vh"> need attention</span>
                    </span>
                  )}
                </Link>
              </li>
            ))}
          </ul>
          <div className="foot">
            <Who session={session} onSignOut={onSignOut} />
            <span>
              {GATEWAY.host} · {session.version}
            </span>
            <button type="button" className="btn quiet small" onClick={onHelp}>
              <span className="key">?</span> keyboard
            </button>
          </div>
        </nav>
        <div className="main">
          <header className="top">
            <h1>{title}</h1>
            <div className="tools">
              <ConnectionPill live={live} />
              <button
                type="button"
                className="btn hide-s"
                onClick={() => live.pause(live.connection !== 'paused')}
                aria-keyshortcuts="p"
              >
                <Icon name={live.connection === 'paused' ? 'play' : 'pause'} />
                {live.connection === 'paused' ? 'Go on' : 'Pause'} <span className="key">P</span>
              </button>
              <ThemeButton />
            </div>
          </header>
          <main className="page" id="main" tabIndex={-1}>
            <ConnectionBanner live={live} />
            {children}
            <footer className="note only-s">
              <Who session={session} onSignOut={onSignOut} />
              <span>
                {GATEWAY.host} · {session.version}
              </span>
            </footer>
          </main>
        </div>
        <nav className="bottom" aria-label="Main, small">
          {PAGES.map(({ path, name, icon }) => (
            <Link key={name} href={path} aria-current={isCurrent(path) ? 'page' : undefined}>
              <Icon name={icon} />
              <span>{name}</span>
            </Link>
          ))}
        </nav>
      </div>
    </>
  )
}

function Who({ session, onSignOut }: { readonly session: Session; readonly onSignOut: () => void }) {
  if (session.by !== 'session') return <span>{session.admin_key_set ? 'Not signed in' : 'Open to this machine'}</span>
  return (
    <span className="row who">
      <span>
        Signed in as <b>{session.viewer === 'admin' ? 'admin' : session.key}</b>
      </span>
      <button type="button" className="btn quiet small" onClick={onSignOut}>
        Sign out
      </button>
    </span>
  )
}

function ThemeButton() {
  const [theme, setTheme] = useState(currentTheme)
  return (
    <button
      type="button"
      className="btn quiet icon"
      aria-label={`Theme: ${theme === 'system' ? 'as the system' : theme}`}
      onClick={() => {
        const next = nextTheme(theme)
        applyTheme(next)
        setTheme(next)
      }}
    >
      <Icon name="theme" />
    </button>
  )
}

function ConnectionPill({ live }: { readonly live: Live }) {
  const { connection } = live
  if (connection === 'live')
    return (
      <span className="pill ok live">
        <i />
        Live
      </span>
    )
  const words = { connecting: 'Connecting', refreshing: 'Every 5 s', old: 'Not connected', paused: 'Paused' }
  return <span className={connection === 'old' ? 'pill bad' : 'pill'}>{words[connection]}</span>
}

/** A refresh that succeeds soon needs no banner. */
const BANNER_DELAY_MS = 2_000

function ConnectionBanner({ live }: { readonly live: Live }) {
  const { connection, receivedAt, failure, tryNow, pause } = live
  const now = useSeconds(connection !== 'live')
  const since = useRef(0)
  if (connection === 'live' || connection === 'connecting') since.current = 0
  else if (since.current === 0) since.current = now
  if (connection === 'paused')
    return (
      <p className="banner info" role="status">
        <Icon name="pause" />
        <b>Paused.</b>{' '}
        <span>{receivedAt === 0 ? 'Nothing has come in yet.' : `Figures are of ${clockTime(receivedAt)}.`}</span>
        <button type="button" className="btn small" onClick={() => pause(false)}>
          Go on
        </button>
      </p>
    )
  if (connection === 'refreshing' && now - since.current > BANNER_DELAY_MS)
    return (
      <p className="banner info" role="status">
        <Icon name="info" />
        <span>Refreshing every 5 s; the live connection is blocked on the way.</span>
      </p>
    )
  if (connection !== 'old') return null
  const age = receivedAt === 0 ? '' : ` Figures are of ${clockTime(receivedAt)}, ${duration(now - receivedAt)} ago.`
  const reason =
    failure && failure.status !== 0 ? `The gateway answered ${failure.status}: ${failure.message}` : 'Not connected.'
  return (
    <p className="banner warn" role="status">
      <Icon name="off" />
      <b>{reason}</b>
      <span>{age} Trying again every 5 s.</span>
      <button type="button" className="btn small" onClick={tryNow}>
        Try now
      </button>
    </p>
  )
}

function useSeconds(isRunning: boolean): number {
  const [now, setNow] = useState(Date.now)
  useEffect(() => {
    if (!isRunning) return
    setNow(Date.now())
    const timer = setInterval(() => setNow(Date.now()), 1000)
    return () => clearInterval(timer)
  }, [isRunning])
  return now
}
