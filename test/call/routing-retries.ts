// Routing retries: the attempts of one admitted call, without a provider, so that a test looks at their times one by one.

import { RetryPlan } from '../../src/call/attempts.ts'
import type { CallCandidate } from '../../src/call/candidates.ts'
import { Circuits } from '../../src/core/circuit.ts'
import type { Clock, Timer, Timers } from '../../src/core/clock.ts'
import type { Entry } from '../../src/core/ledger-entry.ts'
import { NO_SUBJECTS } from '../../src/core/limits.ts'
import { WebExchange } from '../../src/exchange/web.ts'
import { dialectAt } from '../../src/wire/index.ts'
import type { ManualClock } from '../support/clocks.ts'
import type { GatewayFixture } from '../support/gateway.ts'
import { waitFor } from '../support/waiting.ts'
import { requestFor } from './dialect-fixtures.ts'

/** Callers of a gateway without keys. */
const NOBODY = { caller: NO_SUBJECTS.caller, key: undefined }

export interface RetryOptions {
  readonly clock: Clock
  readonly random: number
  readonly retries: number
  readonly deadlineMs?: number
  /** Models it may fall back to. */
  readonly otherModels?: readonly string[]
}

/** Attempts that have a reservation; what they dispatch is the name of the target. */
export async function retriesAt(gateway: GatewayFixture, options: RetryOptions): Promise<RetryPlan<string>> {
  const { clock, random, retries, deadlineMs = Number.POSITIVE_INFINITY, otherModels = [] } = options
  const [current, ...rest] = ['first/m', ...otherModels].map((model) => candidateFor(gateway, model))
  if (!current) throw new Error('there is no candidate')
  const { applicant, candidate } = current
  const admitted = await gateway.app.gate.admissionControl.admit(applicant, clock.now())
  if (!admitted.admitted) throw new Error('it does not fit')
  const parts = {
    admissionControl: gateway.app.gate.admissionControl,
    circuits: new Circuits(),
    clock,
    random: () => random,
    retries,
    deadlineMs,
    dispatchOf: (_: unknown, { provider, model }: CallCandidate) => `${provider.name}/${model}`,
  }
  const first = { ...candidate, ...applicant.first }
  return new RetryPlan(
    parts,
    { ...admitted, applicant: { ...applicant, first } },
    first,
    rest.map((model) => model.candidate),
  )
}

function candidateFor(gateway: GatewayFixture, model: string) {
  const { path, body } = requestFor('openai', { model, cap: 50 })
  const exchange = new WebExchange(new Request(`http://localhost${path}`, { method: 'POST', body }))
  const dialect = dialectAt(path)
  if (!dialect) throw new Error(`no call is made at ${path}`)
  const applicant = gateway.app.gate.applicantFor(exchange, dialect, Buffer.from(body), NOBODY)
  const candidate: CallCandidate = {
    ...applicant.first,
    dialect,
    translation: undefined,
    reading: dialect.readRequest(Buffer.from(body), exchange),
    line: exchange,
    headers: [],
    callerKey: undefined,
    dropped: [],
    adapted: [],
    changes: undefined,
  }
  return { applicant, candidate }
}

/** How long the gateway waits between two sweeps of expired calls. */
const SWEEP_MS = 5_000
const DAY_MS = 86_400_000

/** What else waits: for old rows, for unusual spend, and for alerts that are due. */
const JOB_MS: readonly number[] = [SWEEP_MS, 60_000, 300_000, 3_600_000, DAY_MS]

/** Timers without the gateway's own jobs, so that a clock counts the timers of calls alone. */
export function timersOfCalls(timers: Timers): Timers {
  const never: Timer = { unref: () => never }
  return {
    setTimeout: (callback, delayMs) => (JOB_MS.includes(delayMs) ? never : timers.setTimeout(callback, delayMs)),
    clearTimeout: (timer) => timers.clearTimeout(timer),
  }
}

/** Waits until a call pauses before its next attempt: two timers run then, that pause and the deadline. */
export const untilPaused = (clock: ManualClock) => waitFor(async () => clock.timerCount === 2 || undefined)

/** The alias `both`, asked this often at each target. */
export const retrying = (retries: number, targets = ['first/m', 'second/m']) => ({
  aliases: { both: { targets, retries } },
})

/** Provider, status and error of each attempt. */
export const attemptsIn = ({ outcome }: Entry) =>
  outcome?.attempts.map(({ provider, status, error }) => [provider, status, error])
