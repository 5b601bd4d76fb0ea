// Keys: what an operator of a gateway asks of /admin/keys, and what the holders of keys ask.

import { ADMIN_KEY, type GatewayClient } from './client-and-ledger.ts'

/** A key, as /admin/keys answers it. */
export interface KeyJson {
  readonly id: string
  /** The secret. Absent but in the answers that make one. */
  readonly key: string
  readonly prefix: string
  readonly status: string
  readonly [field: string]: unknown
}

interface Reply<Body> {
  readonly status: number
  readonly body: Body
}

interface ErrorBody {
  readonly error: { readonly code: string; readonly message: string; readonly param: string | null }
}

/** The operator of a gateway. */
export class KeyOperator {
  readonly #client: GatewayClient

  constructor({ client }: { readonly client: GatewayClient }) {
    this.#client = client
  }

  async asks<Body>(method: string, path: string, body?: unknown, headers: HeadersInit = {}): Promise<Reply<Body>> {
    const response = await this.#client.fetch('in process', `/admin/keys${path}`, {
      method,
      headers: { authorization: `Bearer ${ADMIN_KEY}`, 'content-type': 'application/json', ...headers },
      ...(body === undefined ? {} : { body: typeof body === 'string' ? body : JSON.stringify(body) }),
    })
    return { status: response.status, body: JSON.parse(await response.text()) as Body }
  }

  /** Makes a key. */
  async makes(fields: object): Promise<KeyJson> {
    return this.#succeeds(await this.asks<KeyJson>('POST', '', fields))
  }

  async changes(id: string, patch: object): Promise<KeyJson> {
    return this.#succeeds(await this.asks<KeyJson>('PATCH', `/${id}`, patch))
  }

  async disables(id: string): Promise<KeyJson> {
    return this.#succeeds(await this.asks<KeyJson>('DELETE', `/${id}`))
  }

  async rotates(id: string, graceSeconds?: number): Promise<KeyJson> {
    const body = graceSeconds === undefined ? undefined : { grace_seconds: graceSeconds }
    return this.#succeeds(await this.asks<KeyJson>('POST', `/${id}/rotate`, body))
  }

  /** What the gateway says is wrong. */
  async isRefused(method: string, path: string, body?: unknown): Promise<ErrorBody['error'] & { status: number }> {
    const reply = await this.asks<ErrorBody>(method, path, body)
    if (reply.status < 400) throw new Error(`${method} ${path} was not refused`)
    return { status: reply.status, ...reply.body.error }
  }

  #succeeds({ status, body }: Reply<KeyJson>): KeyJson {
    if (status >= 300) throw new Error(`${status} ${JSON.stringify(body)}`)
    return body
  }
}

/** The headers of a holder of a key. */
export function holding({ key }: { readonly key: string }, headers: Readonly<Record<string, string>> = {}) {
  return { headers: { authorization: `Bearer ${key}`, ...headers } }
}
