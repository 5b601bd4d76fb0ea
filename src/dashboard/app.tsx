// App: who looks, the live state, and the page.

import { useCallback, useEffect, useRef, useState } from 'react'
import { RequestFailed } from './data/api.ts'
import { readSession, type Session, signOut } from './data/session.ts'
import { useLive } from './data/use-live.ts'
import { Now } from './pages/now.tsx'
import { SignIn, SignInForm } from './pages/sign-in.tsx'
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
          <Pages session={session} onSession={setSession} />
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
  useEffect(() => {
    document.title = attentionCount > 0 ? `(${attentionCount}) Now · Bursar` : 'Now · Bursar'
  }, [attentionCount])
  const shortcuts: readonly Shortcut[] = [
    { keys: '/', does: 'Find among the newest calls', run: () => document.getElementById('find')?.focus() },
    { keys: 'p', does: 'Pause, or go on', run: () => live.pause(live.connection !== 'paused') },
    { keys: '?', does: 'This list', run: () => setShowsHelp(true) },
  ]
  useShortcuts(shortcuts)
  return (
    <>
      <Shell
        title="Now"
        session={session}
        live={live}
        attentionCount={attentionCount}
        onSignOut={() => void signOut().then(onSession)}
        onHelp={() => setShowsHelp(true)}
      >
        <Now live={live} session={session} />
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
