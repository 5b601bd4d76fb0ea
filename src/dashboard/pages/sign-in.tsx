// Sign in: by the admin key, or by any key of the gateway, which shows its own calls and limits.

import { type FormEvent, useLayoutEffect, useRef, useState } from 'react'
import { GATEWAY, RequestFailed } from '../data/api.ts'
import { type Session, signIn } from '../data/session.ts'
import { Icon, Mark } from '../parts/icons.tsx'

interface SignInProps {
  readonly session: Session
  readonly onSignedIn: (session: Session) => void
}

export function SignIn({ session, onSignedIn }: SignInProps) {
  return (
    <main className="solo" id="main">
      <div className="card stack">
        <div className="brand">
          <Mark />
          <h1>Sign in to Bursar</h1>
        </div>
        {session.cookie_possible ? <SignInForm onSignedIn={onSignedIn} /> : <NotPossible />}
      </div>
    </main>
  )
}

export function SignInForm({ onSignedIn }: Pick<SignInProps, 'onSignedIn'>) {
  const [key, setKey] = useState('')
  const [isShown, setShown] = useState(false)
  const [isSending, setSending] = useState(false)
  const [failure, setFailure] = useState<string>()
  const input = useRef<HTMLInputElement>(null)
  useLayoutEffect(() => input.current?.focus(), [])
  const send = async (event: FormEvent) => {
    event.preventDefault()
    setSending(true)
    try {
      onSignedIn(await signIn(key.trim()))
    } catch (error) {
      setFailure(error instanceof RequestFailed ? error.message : 'The key was not sent.')
      input.current?.focus()
    } finally {
      setSending(false)
    }
  }
  return (
    <>
      <p className="muted small">An admin key shows everything. Any other key shows its own calls and limits.</p>
      <form className="stack" onSubmit={(event) => void send(event)}>
        <div className="field">
          <label htmlFor="key">Key</label>
          <div className="with">
            <input
              ref={input}
              id="key"
              type={isShown ? 'text' : 'password'}
              autoComplete="current-password"
              spellCheck={false}
              required
              aria-invalid={failure !== undefined}
              aria-describedby={failure === undefined ? undefined : 'key-failure'}
              value={key}
              onChange={({ target }) => setKey(target.value)}
            />
            <button
              type="button"
              className="btn small quiet"
              aria-pressed={isShown}
              aria-label="Show the key"
              onClick={() => setShown(!isShown)}
            >
              {isShown ? 'Hide' : 'Show'}
            </button>
          </div>
          {failure !== undefined && (
            <p className="error" id="key-failure" role="alert">
              <Icon name="failed" />
              <span>{failure}</span>
            </p>
          )}
        </div>
        <button type="submit" className="btn primary" disabled={isSending || key.trim() === ''}>
          Sign in
        </button>
      </form>
      <p className="xs muted">
        The key is sent once to this gateway and not kept in the browser. You stay signed in for 12 hours.
      </p>
    </>
  )
}

function NotPossible() {
  return (
    <div className="banner warn" role="alert">
      <Icon name="warn" />
      <span>
        Browsers keep a sign-in over <code>https</code> and on <code>localhost</code> alone, and this page came from{' '}
        <code>{GATEWAY.origin}</code>. Open the gateway on <code>http://localhost</code>, through a tunnel if need be,
        or put <code>https</code> in front of it and set <code>PUBLIC_URL</code>.
      </span>
    </div>
  )
}
