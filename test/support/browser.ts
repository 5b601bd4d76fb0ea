// Browser: what a page of the gateway asks, with the cookie that its answers set.

import type { GatewayClient } from './client-and-ledger.ts'

/** What /session answers. */
export interface VisitorJson {
  readonly viewer: string
  readonly key: string | null
  readonly by: string | null
  readonly expires_at: string | null
  readonly [field: string]: unknown
}

export interface PageAnswer {
  readonly status: number
  readonly headers: Headers
  readonly text: string
  /** The fields of the answer. */
  readonly body: VisitorJson & {
    readonly error: { readonly code: string; readonly message: string; readonly param: string | null }
  }
}

/** A browser with one page of the gateway open. */
export class Browser {
  readonly #client: GatewayClient
  /** `name=value` of the session's cookie; empty without a session. */
  cookie = ''

  constructor({ client }: { readonly client: GatewayClient }) {
    this.#client = client
  }

  /** A request of the gateway's own page, unless headers say otherwise. An empty header is not sent. */
  async asks(
    method: string,
    path: string,
    body?: unknown,
    headers: Readonly<Record<string, string>> = {},
  ): Promise<PageAnswer> {
    const all = { 'sec-fetch-site': 'same-origin', 'content-type': 'application/json', cookie: this.cookie, ...headers }
    const sent = Object.entries(all).filter(([, value]) => value !== '')
    const text = typeof body === 'string' ? body : JSON.stringify(body)
    const init = { method, headers: sent, ...(text === undefined ? {} : { body: Buffer.from(text) }) }
    const response = await this.#client.fetch('in process', path, init as RequestInit)
    const [cookie] = response.headers.get('set-cookie')?.split(';') ?? []
    if (cookie !== undefined) this.cookie = cookie.endsWith('=') ? '' : cookie
    const answer = await response.text()
    const isJson = answer !== '' && response.headers.get('content-type') === 'application/json'
    return { status: response.status, headers: response.headers, text: answer, body: isJson ? JSON.parse(answer) : {} }
  }

  /** Signs in, and fails if the gateway refuses. */
  async signsIn(key: string): Promise<VisitorJson> {
    const { status, body, text } = await this.asks('POST', '/session', { key })
    if (status !== 200) throw new Error(`${status} ${text}`)
    return body
  }

  /** Who the gateway says is signed in. */
  async visitor(): Promise<VisitorJson> {
    return (await this.asks('GET', '/session')).body
  }
}
