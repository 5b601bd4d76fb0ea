// Server: a gateway with the limits that are the default, whose clock stands still until a test moves it, and no provider of its own.

import { ManualClock } from './clocks.ts'
import { Gateway as AnyGateway, temporaryLedger } from './gateway.ts'

export { listen } from './provider.ts'
export { waitFor } from './waiting.ts'

export type Gateway = AnyGateway<ManualClock>

export interface GatewayOptions {
  /** Settings as the environment would give them. Others have their defaults. */
  readonly settings?: Readonly<Record<string, string>>
  /** What bursar.json would hold. */
  readonly file?: unknown
  /** `memory`, or a file that goes away with the gateway. */
  readonly ledger?: 'memory' | 'sqlite'
  readonly clock?: ManualClock
}

export async function startGateway(options: GatewayOptions = {}): Promise<Gateway> {
  const file = options.ledger === 'sqlite' ? await temporaryLedger() : undefined
  return AnyGateway.start({
    settings: { ...options.settings },
    config: options.file ?? {},
    clock: options.clock ?? new ManualClock(),
    random: () => 0,
    servesByHono: true,
    database: file?.database ?? 'memory:',
    ...(file ? { cleanUp: file.remove } : {}),
  })
}
