// Session: /session, where a browser signs in with a key, and out; and /admin/sessions, where operators see who is signed in, and end it.

import { z } from 'zod'
import { Problem } from '../core/problem.ts'
import type { WebExchange } from '../exchange/web.ts'
import { assertSameOrigin, isCookiePossible } from '../sessions/same-origin.ts'
import { NO_SESSION_COOKIE, secretInCookies, sessionCookie } from '../sessions/session-cookie.ts'
import { type LiveSession, MAX_SESSION_SECONDS } from '../sessions/sessions.ts'
import { type SignInParts, signIn } from '../sessions/sign-in.ts'
import type { Viewers, Visitor } from '../sessions/viewers.ts'
import { type Endpoint, endpointsFor } from './endpoint.ts'
import { VERSION } from './version.ts'
import { timeJson, timeSchema } from './views.ts'

export interface SessionParts extends SignInParts {
  readonly viewers: Viewers
  /** The origin of PUBLIC_URL; empty without it. */
  readonly publicOrigin: string
  readonly settings: { readonly TIME_ZONE: string }
}

const endpoint = endpointsFor<SessionParts>()

/** Nobody between may keep who is signed in. */
const NOT_STORED = { 'cache-control': 'no-store' }
const MAX_SIGN_IN_BYTES = 16_384
const MAX_KEY_CHARACTERS = 4_096

const textOrNull = z.string().nullable()

/** Who is signed in. Null: does not apply. */
const visitorSchema = z.strictObject({
  /** `open`: there are no keys, so nothing is asked. `none`: has to sign in first. */
  viewer: z.enum(['admin', 'key', 'open', 'none']),
  key: textOrNull,
  user: textOrNull,
  can_administer: z.boolean(),
  admin_key_set: z.boolean(),
  keys_exist: z.boolean(),
  by: z.enum(['session', 'header']).nullable(),
  /** When the session ends. */
  expires_at: timeSchema.nullable(),
  /** Whether browsers keep the cookie of a session for this address. */
  cookie_possible: z.boolean(),
  time_zone: z.string(),
  version: z.string(),
  now: timeSchema,
})

export type SessionJson = z.output<typeof visitorSchema>

const SHOW = endpoint({
  method: 'GET',
  path: '/session',
  role: 'open',
  summary: 'Who sends the request, and what signing in needs.',
  answer: visitorSchema,
}).handle(async (parts, { exchange }) => ({
  answer: visitorJson(parts, exchange, await parts.viewers.visitor(exchange)),
  headers: NOT_STORED,
}))

const SIGN_IN = endpoint({
  method: 'POST',
  path: '/session',
  role: 'open',
  summary: 'Signs a browser in with a key, by a cookie.',
  body: z.strictObject({ key: z.string().trim().min(1).max(MAX_KEY_CHARACTERS) }),
  maxBodyBytes: MAX_SIGN_IN_BYTES,
  answer: visitorSchema,
}).handle(async (parts, { exchange, body }) => {
  const { sessions, publicOrigin } = parts
  assertSameOrigin(exchange, publicOrigin)
  if (!isCookiePossible(exchange, publicOrigin))
    throw new Problem(
      'cookie_not_possible',
      'Browsers keep the cookie of a session with https or on localhost alone. Reach the gateway by one of them, and set PUBLIC_URL to its https address.',
    )
  const { key } = await body()
  const secret = await signIn(parts, key, exchange.remoteAddress)
  await endSession(parts, exchange)
  const live = await sessions.find(secret)
  if (!live) throw new Problem('unauthenticated', 'The key was changed at the same time. Sign in again.')
  const visitor = { viewer: live.viewer, by: 'session', live } as const
  const headers = { ...NOT_STORED, 'set-cookie': sessionCookie(secret, MAX_SESSION_SECONDS) }
  return { answer: visitorJson(parts, exchange, visitor), headers }
})

const SIGN_OUT = endpoint({
  method: 'DELETE',
  path: '/session',
  role: 'open',
  summary: 'Signs a browser out: its session ends.',
  answer: visitorSchema,
}).handle(async (parts, { exchange }) => {
  assertSameOrigin(exchange, parts.publicOrigin)
  await endSession(parts, exchange)
  const answer = visitorJson(parts, exchange, await parts.viewers.visitor(exchange))
  return { answer, headers: { ...NOT_STORED, 'set-cookie': NO_SESSION_COOKIE } }
})

/** What a browser does with its own session. */
export const SESSION_ENDPOINTS: readonly Endpoint<SessionParts>[] = [SHOW, SIGN_IN, SIGN_OUT]

const sessionSchema = z.strictObject({
  id: z.string(),
  role: z.enum(['admin', 'key']),
  key: textOrNull,
  created_at: timeSchema,
  /** Null: not since the gateway started. */
  last_used_at: timeSchema.nullable(),
  expires_at: timeSchema,
  /** The IP address of the browser that signed in, or of the proxy before it. */
  address: textOrNull,
})

const LIST = endpoint({
  method: 'GET',
  path: '/admin/sessions',
  role: 'admin',
  summary: 'Every session that may be used now, the newest first.',
  answer: z.strictObject({ sessions: z.array(sessionSchema) }),
}).handle(async ({ sessions }) => ({ answer: { sessions: (await sessions.list()).map(sessionJson) } }))

const REVOKE = endpoint({
  method: 'DELETE',
  path: '/admin/sessions/:id',
  role: 'admin',
  summary: 'Ends a session, from the next request on.',
  params: z.strictObject({ id: z.string() }),
  answer: z.strictObject({ id: z.string(), revoked: z.literal(true) }),
}).handle(async ({ sessions, clock }, { sender, params: { id } }) => {
  const origin = { actor: sender.actor, atMs: clock.now().wallMs, audit: true }
  if (!(await sessions.revoke(id, origin)))
    throw new Problem('not_found', 'There is no such session. GET /admin/sessions lists them.', 'id')
  return { answer: { id, revoked: true } }
})

/** What operators do with all sessions. */
export const SESSION_ADMIN_ENDPOINTS: readonly Endpoint<SessionParts>[] = [LIST, REVOKE]

/** Ends the session that the browser has, whatever key the request carries. */
async function endSession({ sessions }: SessionParts, exchange: WebExchange): Promise<void> {
  const secret = secretInCookies(exchange.header('cookie'))
  if (secret !== undefined) await sessions.end(secret)
}

function visitorJson(
  { callers, settings, clock, publicOrigin }: SessionParts,
  exchange: WebExchange,
  { viewer, by, live }: Visitor,
): z.output<typeof visitorSchema> {
  const role = viewer?.role ?? 'none'
  return {
    viewer: role === 'guest' ? 'none' : role,
    key: viewer?.key ?? null,
    user: viewer?.role === 'key' ? viewer.record.user : null,
    can_administer: role === 'admin',
    admin_key_set: callers.hasAdminKey,
    keys_exist: callers.hasKeys,
    by,
    expires_at: live ? timeJson(live.expiresAtMs) : null,
    cookie_possible: isCookiePossible(exchange, publicOrigin),
    time_zone: settings.TIME_ZONE,
    version: VERSION,
    now: timeJson(clock.now().wallMs),
  }
}

function sessionJson({ session, expiresAtMs }: LiveSession): z.output<typeof sessionSchema> {
  const { id, key, address, createdAtMs, lastUsedAtMs } = session
  return {
    id,
    role: key === null ? 'admin' : 'key',
    key,
    created_at: timeJson(createdAtMs),
    last_used_at: lastUsedAtMs === null ? null : timeJson(lastUsedAtMs),
    expires_at: timeJson(expiresAtMs),
    address,
  }
}
