// Answers: reads an endpoint, and keeps what is shown while the next answer loads.

import { useEffect, useReducer, useState } from 'react'
import { type Received, RequestFailed, request } from './api.ts'

export interface Answered<Answer> {
  /** The newest answer, perhaps of the path before. */
  readonly answer: Received<Answer> | undefined
  /** Why the newest request has no answer. */
  readonly failure: RequestFailed | undefined
  readonly isLoading: boolean
  readonly tryAgain: () => void
}

/** @param path with its query; undefined reads nothing */
export function useAnswer<Answer>(path: string | undefined): Answered<Answer> {
  const [answer, setAnswer] = useState<Received<Answer>>()
  const [failure, setFailure] = useState<RequestFailed>()
  const [isLoading, setLoading] = useState(path !== undefined)
  const [attempt, tryAgain] = useReducer((count: number) => count + 1, 0)
  // biome-ignore lint/correctness/useExhaustiveDependencies: an attempt reads anew.
  useEffect(() => {
    if (path === undefined) return
    const ended = new AbortController()
    setLoading(true)
    const read = async () => {
      try {
        const found = await request<Answer>(path, { signal: ended.signal })
        if (ended.signal.aborted) return
        setAnswer(() => found)
        setFailure(undefined)
        setLoading(false)
      } catch (error) {
        if (ended.signal.aborted) return
        if (error instanceof RequestFailed) setFailure(error)
        setLoading(false)
      }
    }
    void read()
    return () => ended.abort()
  }, [path, attempt])
  return { answer, failure, isLoading, tryAgain }
}
