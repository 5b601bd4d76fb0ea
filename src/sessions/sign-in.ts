// Sign-in: a session for a key. Wrong keys are slowed down, and the answer to one says how many more may follow.

import type { Clock } from '../core/clock.ts'
import { Problem } from '../core/problem.ts'
import { type Callers, INCORRECT_KEY, type SecretHolder } from '../keys/callers.ts'
import type { Telemetry } from '../telemetry/call-events.ts'
import type { Sessions } from './sessions.ts'
import type { AttemptsLeft, SignInAttempts } from './sign-in-attempts.ts'

export interface SignInParts {
  readonly callers: Callers
  readonly sessions: Sessions
  readonly signInAttempts: SignInAttempts
  readonly telemetry: Pick<Telemetry, 'notify'>
  readonly clock: Clock
}

const NUMBERS: readonly string[] = ['No', 'One', 'Two', 'Three', 'Four', 'Five']

/**
 * Begins a session for whoever has this key: the admin key, or a key of this gateway. Resolves to the secret for the session's cookie. Rejects with Problem `unauthenticated` for a wrong key, `too_many_attempts` after too many, and with StoreUnavailable.
 * @param address the IP address of the client; undefined without a network
 */
export async function signIn(parts: SignInParts, key: string, address: string | undefined): Promise<string> {
  return parts.sessions.begin(await holderOf(parts, key, address), address ?? null)
}

async function holderOf(parts: SignInParts, key: string, address: string | undefined): Promise<SecretHolder> {
  const { callers, signInAttempts, clock } = parts
  const attempt = signInAttempts.begin(address, clock.now())
  try {
    const holder = await callers.holderOf(key)
    signInAttempts.giveBack(attempt)
    return holder
  } catch (error) {
    if (!(error instanceof Problem)) {
      signInAttempts.giveBack(attempt)
      throw error
    }
    const left = signInAttempts.leftAfter(attempt, clock.now())
    if (left.attempts === 0) notifySlowed(parts, address)
    throw new Problem(error.code, `${reasonOf(error)} ${textOf(left)}`, 'key')
  }
}

/** Whoever has the secret of a key learns why it does not work any more, as callers do. All other keys are not known. */
function reasonOf({ message }: Problem): string {
  return message === INCORRECT_KEY ? 'That key is not known.' : message
}

function textOf({ attempts, waitMs }: AttemptsLeft): string {
  const wait = `${Math.ceil(waitMs / 1_000)} s`
  if (attempts === 0) return `The next try is in ${wait}.`
  const tries = attempts === 1 ? 'One more try' : `${NUMBERS[attempts] ?? attempts} more tries`
  return `${tries}, then a wait of ${wait}.`
}

function notifySlowed({ telemetry }: SignInParts, address: string | undefined): void {
  const message = 'Too many wrong keys were tried at the sign-in. For a while, it refuses that address.'
  telemetry.notify({ code: 'sign_ins_slowed', level: 'warn', message, details: { address: address ?? null } })
}
