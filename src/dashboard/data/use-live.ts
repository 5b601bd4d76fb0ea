// Live connection: server-sent events, a refresh every five seconds where those are blocked, and nothing while the page is hidden.

import { useEffect, useReducer, useRef, useState } from 'react'
import { addressOf, RequestFailed, request } from './api.ts'
import { type CallsEvent, type LiveAnswer, type LiveCall, type StateEvent, withCalls, withState } from './live-state.ts'

const REFRESH_MS = 5_000
/** Without an event or a heartbeat for so long, the figures are old. */
const STALE_AFTER_MS = 20_000

/** `live`: by events. `refreshing`: every five seconds. `old`: the gateway cannot be reached. `paused`: by the viewer. */
export type Connection = 'connecting' | 'live' | 'refreshing' | 'old' | 'paused'

export interface Live {
  readonly state: LiveAnswer | undefined
  readonly calls: readonly LiveCall[]
  /** One of so many calls is shown. */
  readonly oneOf: number
  readonly connection: Connection
  /** Why the state could not be read; undefined if it could. */
  readonly failure: RequestFailed | undefined
  /** When the newest state came, by the browser's clock. */
  readonly receivedAt: number
  readonly pause: (isPaused: boolean) => void
  readonly tryNow: () => void
}

interface Figures {
  readonly state: LiveAnswer | undefined
  readonly calls: readonly LiveCall[]
  readonly oneOf: number
  readonly receivedAt: number
}

type Action =
  | { readonly kind: 'state'; readonly event: StateEvent; readonly at: number }
  | { readonly kind: 'calls'; readonly event: CallsEvent }
  | { readonly kind: 'whole'; readonly answer: LiveAnswer; readonly at: number }

function reduce(known: Figures, action: Action): Figures {
  switch (action.kind) {
    case 'state':
      return { ...known, state: withState(known.state, action.event), receivedAt: action.at }
    case 'calls':
      return { ...known, calls: withCalls(known.calls, action.event.calls), oneOf: action.event.shown?.one_of ?? 1 }
    case 'whole':
      return {
        state: action.answer,
        calls: withCalls(known.calls, action.answer.calls),
        oneOf: 1,
        receivedAt: action.at,
      }
  }
}

const NOTHING: Figures = { state: undefined, calls: [], oneOf: 1, receivedAt: 0 }

/** @param onSignedOut the gateway asks for a sign-in */
export function useLive(onSignedOut: () => void): Live {
  const [figures, dispatch] = useReducer(reduce, NOTHING)
  const [connection, setConnection] = useState<Connection>('connecting')
  const [failure, setFailure] = useState<RequestFailed>()
  const [isPaused, pause] = useState(false)
  const [attempt, tryAgain] = useReducer((count: number) => count + 1, 0)
  const isVisible = useVisibility()
  const signedOut = useRef(onSignedOut)
  signedOut.current = onSignedOut

  // biome-ignore lint/correctness/useExhaustiveDependencies: an attempt connects anew.
  useEffect(() => {
    if (isPaused || !isVisible) {
      setConnection(isPaused ? 'paused' : 'connecting')
      return
    }
    return connect({ dispatch, setConnection, setFailure, onSignedOut: () => signedOut.current() })
  }, [isPaused, isVisible, attempt])

  return { ...figures, connection, failure, pause, tryNow: tryAgain }
}

interface Listener {
  readonly dispatch: (action: Action) => void
  readonly setConnection: (connection: Connection) => void
  readonly setFailure: (failure: RequestFailed | undefined) => void
  readonly onSignedOut: () => void
}

/** Connects until the function that is returned is called. */
function connect({ dispatch, setConnection, setFailure, onSignedOut }: Listener): () => void {
  const source = new EventSource(addressOf('/llm/live?stream=true'))
  const ended = new AbortController()
  let refreshTimer: ReturnType<typeof setTimeout> | undefined
  let staleTimer: ReturnType<typeof setTimeout> | undefined
  const heard = () => {
    clearTimeout(staleTimer)
    clearTimeout(refreshTimer)
    refreshTimer = undefined
    staleTimer = setTimeout(refresh, STALE_AFTER_MS)
    setConnection('live')
    setFailure(undefined)
  }
  const refresh = async () => {
    clearTimeout(refreshTimer)
    try {
      const answer = await request<LiveAnswer>('/llm/live', { signal: ended.signal })
      if (ended.signal.aborted) return
      dispatch({ kind: 'whole', answer: answer as LiveAnswer, at: Date.now() })
      setConnection(source.readyState === EventSource.OPEN ? 'live' : 'refreshing')
      setFailure(undefined)
    } catch (error) {
      if (ended.signal.aborted) return
      if (error instanceof RequestFailed) {
        if (error.status === 401) return onSignedOut()
        setFailure(error)
      }
      setConnection('old')
    }
    if (!ended.signal.aborted) refreshTimer = setTimeout(refresh, REFRESH_MS)
  }
  source.addEventListener('state', ({ data }) => {
    if (ended.signal.aborted) return
    heard()
    dispatch({ kind: 'state', event: JSON.parse(data), at: Date.now() })
  })
  source.addEventListener('calls', ({ data }) => {
    if (ended.signal.aborted) return
    heard()
    dispatch({ kind: 'calls', event: JSON.parse(data) })
  })
  source.addEventListener('error', () => {
    clearTimeout(staleTimer)
    if (refreshTimer === undefined && !ended.signal.aborted) void refresh()
  })
  return () => {
    ended.abort()
    clearTimeout(refreshTimer)
    clearTimeout(staleTimer)
    source.close()
  }
}

function useVisibility(): boolean {
  const [isVisible, setVisible] = useState(!document.hidden)
  useEffect(() => {
    const change = () => setVisible(!document.hidden)
    document.addEventListener('visibilitychange', change)
    return () => document.removeEventListener('visibilitychange', change)
  }, [])
  return isVisible
}
