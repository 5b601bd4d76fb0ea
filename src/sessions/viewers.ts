// Viewers: who sends a request to an endpoint of our own, by the key that it carries or else by its session. Callers of LLM calls are
// never identified by a session.

import { Problem } from '../core/problem.ts'
import { ADMINISTRATOR, type Administrator, type Callers, type Viewer } from '../keys/callers.ts'
import { secretInRequest } from '../keys/secrets.ts'
import { assertSameOrigin, type BrowserRequest } from './same-origin.ts'
import { secretInCookies } from './session-cookie.ts'
import type { LiveSession, Sessions } from './sessions.ts'

/** Who looks at the gateway's pages. */
export interface Visitor {
  /** Undefined for whoever has to sign in first. */
  readonly viewer: Viewer | undefined
  /** How the visitor is known. Null if by nothing. */
  readonly by: 'session' | 'header' | null
  /** The session, if the visitor is known by it. */
  readonly live: LiveSession | undefined
}

/** Where the visitor is known by nothing. */
const STRANGER: Visitor = { viewer: undefined, by: null, live: undefined }

/** A key in the request counts, whatever cookie is there too. */
export class Viewers {
  readonly #callers: Callers
  readonly #sessions: Sessions
  readonly #publicOrigin: string

  /** @param publicOrigin the origin of PUBLIC_URL; empty without it */
  constructor(callers: Callers, sessions: Sessions, publicOrigin: string) {
    this.#callers = callers
    this.#sessions = sessions
    this.#publicOrigin = publicOrigin
  }

  /** Who sends a request for what the gateway shows of itself. Rejects with Problem `unauthenticated` or `forbidden`. */
  async identify(request: BrowserRequest): Promise<Viewer> {
    return this.#bySession(
      request,
      (viewer) => viewer,
      () => this.#callers.identifyViewer(request),
    )
  }

  /** Who sends a request for figures of calls: no guest. Rejects with Problem `unauthenticated` or `forbidden`. */
  async identifyForFigures(request: BrowserRequest): Promise<Viewer> {
    return this.#bySession(
      request,
      (viewer) => viewer,
      () => this.#callers.identifyFiguresViewer(request),
    )
  }

  /** Who sends a request to `/admin/`. Rejects with Problem `unauthenticated` or `forbidden`. */
  async identifyAdministrator(request: BrowserRequest): Promise<Administrator> {
    return this.#bySession(request, administratorOf, () => this.#callers.identifyAdministrator(request))
  }

  /** Who looks at the gateway's pages, also if that is nobody. Rejects with Problem `forbidden` for a request from elsewhere. */
  async visitor(request: BrowserRequest): Promise<Visitor> {
    const live = await this.#sessionOf(request)
    if (live) return { viewer: live.viewer, by: 'session', live }
    try {
      const viewer = await this.#callers.identifyViewer(request)
      const { role } = viewer
      if (role === 'guest') return STRANGER
      return { viewer, by: role === 'open' ? null : 'header', live: undefined }
    } catch (error) {
      if (!(error instanceof Problem)) throw error
      // There is something to sign in with, wherever the request comes from.
      if (error.code === 'unauthenticated' || (error.code === 'forbidden' && this.#callers.hasAdminKey)) return STRANGER
      throw error
    }
  }

  async #bySession<Sender>(
    request: BrowserRequest,
    senderOf: (viewer: Viewer) => Sender,
    identify: () => Sender | Promise<Sender>,
  ): Promise<Sender> {
    const live = await this.#sessionOf(request)
    if (live) return senderOf(live.viewer)
    try {
      return await identify()
    } catch (error) {
      if (error instanceof Problem && error.code === 'unauthenticated' && cookieSecretOf(request) !== undefined)
        throw new Problem('unauthenticated', 'The session has ended. Sign in again, or send a key.')
      throw error
    }
  }

  /** The session of a request that carries no key. Rejects with Problem `forbidden` if a page of another origin may have sent it. */
  async #sessionOf(request: BrowserRequest): Promise<LiveSession | undefined> {
    const secret = cookieSecretOf(request)
    const live = secret === undefined ? undefined : await this.#sessions.find(secret)
    if (live) assertSameOrigin(request, this.#publicOrigin)
    return live
  }
}

function administratorOf({ role }: Viewer): Administrator {
  if (role === 'admin') return ADMINISTRATOR
  throw new Problem('forbidden', 'You are signed in with a key. /admin/ answers ADMIN_KEY alone: sign in with it.')
}

/** The secret of a session in a request without a key. */
function cookieSecretOf(request: BrowserRequest): string | undefined {
  return secretInRequest(request) === undefined ? secretInCookies(request.header('cookie')) : undefined
}
