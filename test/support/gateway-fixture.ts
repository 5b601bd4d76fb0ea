// Gateway fixture: the names under which tests know gateway.ts, provider.ts, clocks.ts and waiting.ts.

import { openProvider } from './gateway.ts'
import type { FakeProvider, ProviderRequest, ProviderScript } from './provider.ts'

export { ADMIN_KEY, type LevelJson, TRANSPORTS, type Transport } from './client-and-ledger.ts'
export { EagerTimers, ManualClock, realTimers } from './clocks.ts'
export { answerStream, answerWhole, GatewayFixture, type GatewayFixtureOptions, useGateway } from './gateway.ts'
export { waitFor, withTimeout } from './waiting.ts'

export type Received = ProviderRequest
export type Responder = ProviderScript
export type Upstream = FakeProvider
export const Upstream = { open: openProvider }
