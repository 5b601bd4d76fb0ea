// Upstream: the provider of provider.ts as vendors answer (provider-answers.ts), under the names that some tests know it by.

import type { DialectName, ReportedUsage } from '../call/dialect-fixtures.ts'
import { FakeProvider, type ProviderAnswer, type ProviderRequest } from './provider.ts'
import { vendorAnswer } from './provider-answers.ts'

export type { DialectName, ReportedUsage } from '../call/dialect-fixtures.ts'
export type { ProviderAnswer as Answer } from './provider.ts'
export { CITY, WORDS } from './provider-answers.ts'

/** A request as the provider received it. */
export interface Received {
  readonly dialect: DialectName
  /** With its query. */
  readonly path: string
  readonly headers: ProviderRequest['headers']
  readonly body: Readonly<Record<string, unknown>>
}

export interface Upstream extends AsyncDisposable {
  /** Its origin, without a trailing slash. */
  readonly url: string
  readonly received: readonly Received[]
  /** What every answer says it used. */
  reportedUsage: ReportedUsage
  /** Changes what is answered. Gets what the provider would have said. */
  reply: (usual: ProviderAnswer, received: Received) => ProviderAnswer
  /** Settings of a gateway in front of it. */
  readonly settings: Readonly<Record<string, string>>
}

/** The keys that a gateway in front of it has. */
export const PROVIDER_KEY = 'sk-of-the-provider-0123456789'

export async function startUpstream(): Promise<Upstream> {
  const received: Received[] = []
  const provider = await FakeProvider.open({
    usual: (request) => vendorAnswer(request, upstream.reportedUsage),
    usage: { input: 21, output: 9 },
    countsTokens: true,
    keys: { openai: PROVIDER_KEY, anthropic: PROVIDER_KEY, gemini: PROVIDER_KEY },
  })
  const upstream: Upstream = {
    url: provider.url,
    received,
    reportedUsage: { input: 21, output: 9 },
    reply: (usual) => usual,
    settings: provider.env,
    [Symbol.asyncDispose]: () => provider.close(),
  }
  provider.says((request) => {
    const { dialect, path, headers, json: body, usual } = request
    const one = { dialect, path, headers, body }
    received.push(one)
    return upstream.reply(usual, one)
  })
  return upstream
}
