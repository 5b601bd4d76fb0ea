// Pair: a gateway with one caller's key in front of an upstream, and what the tests here do with every SDK.

import { type Gateway, type GatewayOptions, startGateway } from '../support/server.ts'
import { startUpstream, type Upstream } from '../support/upstream.ts'
import type { Client, ClientRequest } from './client-request.ts'

export const KEY = 'secret-of-the-caller'

export interface GatewayPair extends AsyncDisposable {
  readonly upstream: Upstream
  readonly gateway: Gateway
  /** The way to the provider itself, and the way through the gateway. */
  readonly direct: ClientRequest
  readonly through: ClientRequest
}

export async function startPair({ settings, ...options }: GatewayOptions = {}): Promise<GatewayPair> {
  const upstream = await startUpstream()
  const keys = { BURSAR_KEYS: `alice:${KEY}` }
  const gateway = await startGateway({ ...options, settings: { ...upstream.settings, ...keys, ...settings } })
  return {
    upstream,
    gateway,
    direct: { url: upstream.url, key: KEY },
    through: { url: gateway.url, key: KEY },
    async [Symbol.asyncDispose]() {
      await gateway[Symbol.asyncDispose]()
      await upstream[Symbol.asyncDispose]()
    },
  }
}

/** Only what an answer says: SDKs add functions and absent fields of their own. */
export function plainJson(value: unknown): unknown {
  return JSON.parse(JSON.stringify(value))
}

/** How a stream went: its events, and what it threw in the end. */
export interface StreamResult {
  readonly events: readonly unknown[]
  readonly error: unknown
}

export async function readStream(
  client: Client,
  ask: ClientRequest,
  seen: (event: unknown) => void = () => {},
): Promise<StreamResult> {
  const events: unknown[] = []
  try {
    for await (const event of client.events(ask)) {
      events.push(plainJson(event))
      seen(event)
    }
  } catch (error) {
    return { events, error }
  }
  return { events, error: undefined }
}
