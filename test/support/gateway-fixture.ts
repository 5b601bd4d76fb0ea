// Gateway fixture: the names under which tests know gateway.ts, provider.ts, clocks.ts and waiting.ts.

import { openProvider } from './gateway.ts'
import type { FakeProvider, ProviderRequest, ProviderScript } from './provider.ts'

export { ManualClock, realTimers } from './clocks.ts'
export {
  ADMIN_KEY,
  answerStream,
  answerWhole,
  GatewayFixture,
  type GatewayFixtureOptions,
  type LevelJson,
  TRANSPORTS,
  type Transport,
  useGateway,
} from './gateway.ts'
export { waitFor, withTimeout } from './waiting.ts'

export type Received = ProviderRequest
export type Responder = ProviderScript
export type Upstream = FakeProvider
export const Upstream = { open: openProvider }
