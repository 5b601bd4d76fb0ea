// App: who looks, the live state, and the page.

import { useCallback, useEffect, useRef, useState } from 'react'
import { Link, Route, Router, Switch, useLocation } from 'wouter'
import { PAGES, RequestFailed } from './data/api.ts'
import { readSession, type Session, signOut } from './data/session.ts'
import { useLive } from './data/use-live.ts'
import { Call } from './pages/call.tsx'
import { Calls } from './pages/calls.tsx'
import { Now } from './pages/now.tsx'
import { SignIn, SignInForm } from './pages/sign-in.tsx'
import { Usage } from './pages/usage.tsx'
import { Patterns } from './parts/icons.tsx'
import { KeyboardHelp, type Shortcut, useShortcuts } from './parts/keyboard.tsx'
import { Shell } from './parts/shell.tsx'

const RETRY_MS = 3_000

export function App() {
  const [session, setSession] = useState<Session>()
  const [failure, setFailure] = useState<RequestFailed>()
  useEffect(() => {
    let timer: ReturnType<typeof setTimeout> | undefined
    const read = async () => {
      try {
        setSession(await readSession())
        setFailure(undefined)
      } catch (error) {
        if (error instanceof RequestFailed) setFailure(error)
        timer = setTimeout(read, RETRY_MS)
      }
    }
    void read()
    return () => clearTimeout(timer)
  }, [])
  return (
    <>
      <Patterns />
      {session ? (
        session.viewer === 'none' ? (
          <SignIn session={session} onSignedIn={setSession} />
        ) : (
          <Router base={PAGES}>
            <Pages session={session} onSession={setSession} />
          </Router>
        )
      ) : (
        failure && <NotReached failure={failure} />
      )}
    </>
  )
}

function NotReached({ failure }: { readonly failure: RequestFailed }) {
  return (
    <main className="solo" id="main">
      <div className="card stack" role="alert">
        <h1>{failure.status === 0 ? 'Not connected' : `The gateway answered ${failure.status}`}</h1>
        <p className="muted">{failure.message} This page tries again every 3 s.</p>
      </div>
    </main>
  )
}

function Pages({ session, onSession }: { readonly session: Session; readonly onSession: (session: Session) => void }) {
  const [isSignedOut, setSignedOut] = useState(false)
  const [showsHelp, setShowsHelp] = useState(false)
  const live = useLive(useCallback(() => setSignedOut(true), []))
  const attentionCount = live.state?.attention.length ?? 0
  const [path, navigate] = useLocation()
  const title = titleOf(path)
  useEffect(() => {
    document.title = attentionCount > 0 ? `(${attentionCount}) ${title} · Bursar` : `${title} · Bursar`
  }, [attentionCount, title])
  useFocusOnChange(path)
  const shortcuts: readonly Shortcut[] = [
    {
      keys: '/',
      does: 'Find or filter calls',
      run: () => (document.getElementById('find') ?? document.getElementById('filter'))?.focus(),
    },
    { keys: 'p', does: 'Pause, or go on', run: () => live.pause(live.connection !== 'paused') },
    { keys: 'n', does: 'Now', run: () => navigate('/') },
    { keys: 'u', does: 'Usage', run: () => navigate('/usage') },
    { keys: 'c', does: 'Calls', run: () => navigate('/calls') },
    { keys: '?', does: 'This list', run: () => setShowsHelp(true) },
  ]
  useShortcuts(shortcuts)
  return (
    <>
      <Shell
        title={title}
        session={session}
        live={live}
        attentionCount={attentionCount}
        onSignOut={() => void signOut().then(onSession)}
        onHelp={() => setShowsHelp(true)}
      >
        <Switch>
          <Route path="/">
            <Now live={live} session={session} />
          </Route>
          <Route path="/usage">
            <Usage session={session} />
          </Route>
          <Route path="/calls">
            <Calls session={session} />
          </Route>
          <Route path="/calls/:id">
            {({ id }) => <Call id={decodeURIComponent(id)} mayCorrect={session.can_administer} />}
          </Route>
          <Route>
            <NoPage />
          </Route>
        </Switch>
      </Shell>
      {showsHelp && <KeyboardHelp shortcuts={shortcuts} onClose={() => setShowsHelp(false)} />}
      {isSignedOut && (
        <SignedOut
          onSignedIn={(renewed) => {
            setSignedOut(false)
            onSession(renewed)
            live.tryNow()
          }}
        />
      )}
    </>
  )
}

function titleOf(path: string): string {
  if (path === '/') return 'Now'
  if (path === '/usage') return 'Usage'
  if (path === '/calls') return 'Calls'
  return path.startsWith('/calls/') ? 'Call' : 'Not found'
}

/** After a change of the page, what a screen reader reads next is the page. */
function useFocusOnChange(path: string): void {
  const known = useRef(path)
  useEffect(() => {
    if (known.current === path) return
    known.current = path
    document.getElementById('main')?.focus()
    scrollTo({ top: 0 })
  }, [path])
}

function NoPage() {
  return (
    <section className="card">
      <div className="empty">
        <h2>There is no such page</h2>
        <p>
          <Link href="/">Now</Link> shows what is spent, and what is left.
        </p>
      </div>
    </section>
  )
}

/** Over the page, which stays as it was. */
function SignedOut({ onSignedIn }: { readonly onSignedIn: (session: Session) => void }) {
  const dialog = useRef<HTMLDialogElement>(null)
  useEffect(() => dialog.current?.showModal(), [])
  return (
    <dialog ref={dialog} className="dialog" aria-labelledby="signed-out" onCancel={(event) => event.preventDefault()}>
      <div className="stack">
        <h2 id="signed-out">You were signed out.</h2>
        <SignInForm onSignedIn={onSignedIn} />
      </div>
    </dialog>
  )
}
