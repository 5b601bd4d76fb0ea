// Loading: what stands where an answer is not there yet, or could not be read.

import type { RequestFailed } from '../data/api.ts'
import { duration } from '../data/format.ts'

export function Loading() {
  return (
    <div className="body stack s" role="status" aria-label="Loading">
      <span className="sk w1" />
      <span className="sk w3" />
      <span className="sk w2" />
    </div>
  )
}

export function Failure({ failure, onTryAgain }: { readonly failure: RequestFailed; readonly onTryAgain: () => void }) {
  const { status, message, durationMs } = failure
  return (
    <div className="empty" role="alert">
      <h3>This could not be loaded</h3>
      <p>
        {status === 0 ? message : `The gateway answered ${status} after ${duration(durationMs)}: ${message}`} Calls are
        not affected.
      </p>
      <button type="button" className="btn small" onClick={onTryAgain}>
        Try again
      </button>
    </div>
  )
}
