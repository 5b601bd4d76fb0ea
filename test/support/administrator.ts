// Administrator: what a test changes of a gateway by /admin/.

import { ADMIN_KEY } from './client-and-ledger.ts'
import type { Gateway } from './gateway.ts'

/** A provider as /admin/providers shows it. */
export interface ShownProvider {
  readonly name: string
  readonly ready: boolean
  readonly setup_guide: string | null
  readonly base_url: string
  readonly base_url_source: string
  readonly api_key: string | null
  readonly api_key_source: string | null
  readonly not_in_force: string | null
}

/** The fields of all answers of /admin/. A test reads those that its path has. */
interface AdminBody extends ShownProvider {
  readonly error: { readonly code: string; readonly message: string; readonly param: string | null }
  readonly changes: readonly unknown[]
  readonly next_cursor: string | null
  readonly settings: readonly { readonly name: string; readonly replaced_by: string | null }[]
  readonly providers: readonly ShownProvider[]
  readonly prices: readonly unknown[]
  readonly file: unknown
  readonly registry: unknown
  readonly ok: boolean
  readonly status: number | null
  readonly message: string
}

/** An answer of /admin/, as programs read it. */
export interface AdminAnswer {
  readonly status: number
  readonly body: AdminBody
  readonly text: string
}

export interface AdminRequest {
  readonly method?: string
  readonly body?: unknown
  readonly headers?: Readonly<Record<string, string>>
}

/** Sends a request with the admin key, unless other headers are given. Text is sent as it is, anything else as JSON. */
export async function administer(gateway: Gateway, path: string, request: AdminRequest = {}): Promise<AdminAnswer> {
  const { body, method = body === undefined ? 'GET' : 'PUT' } = request
  const headers = { authorization: `Bearer ${ADMIN_KEY}`, 'content-type': 'application/json', ...request.headers }
  const sent = body === undefined ? {} : { body: typeof body === 'string' ? body : JSON.stringify(body) }
  const response = await gateway.client.fetch('in process', path, { method, headers, ...sent })
  const text = await response.text()
  return { status: response.status, body: JSON.parse(text), text }
}
