// Pair: a gateway with one caller's key in front of a provider, and what the tests here do with every SDK.

import type { ManualClock } from '../support/clocks.ts'
import { type Gateway, type GatewayOptions, startGateway } from '../support/gateway.ts'
import { FakeProvider } from '../support/provider.ts'
import { vendorAnswer } from '../support/provider-answers.ts'
import type { Client, ClientRequest } from './client-request.ts'

export const KEY = 'secret-of-the-caller'

export interface GatewayPair extends AsyncDisposable {
  readonly provider: FakeProvider
  readonly gateway: Gateway<ManualClock>
  /** The way to the provider itself, and the way through the gateway. */
  readonly direct: ClientRequest
  readonly through: ClientRequest
}

export async function startPair({ env, ...options }: GatewayOptions = {}): Promise<GatewayPair> {
  const usage = { input: 21, output: 9 }
  const provider = await FakeProvider.open({ usual: vendorAnswer, usage, countsTokens: true })
  const keys = { BURSAR_KEYS: `alice:${KEY}` }
  const gateway = await startGateway({ ...options, env: { ...provider.env, ...keys, ...env } })
  return {
    provider,
    gateway,
    direct: { url: provider.url, key: KEY },
    through: { url: gateway.url, key: KEY },
    async [Symbol.asyncDispose]() {
      await gateway.close()
      await provider.close()
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
