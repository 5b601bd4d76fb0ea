// Anthropic's count of tokens: POST /v1/messages/count_tokens. It takes a request, and no money.

import type { Dialect } from '../dialect.ts'
import { postEndpoint } from '../endpoint.ts'
import { forwardedQuery } from '../headers.ts'
import { createCountTap } from '../taps/count.ts'
import { ANTHROPIC_REFUSALS } from './errors.ts'
import { anthropicMessages } from './messages.ts'

export const anthropicCountTokens: Dialect<'anthropic.countTokens'> = {
  ...ANTHROPIC_REFUSALS,
  name: 'anthropic.countTokens',
  listsExtras: true,
  endpoint: postEndpoint('/v1/messages/count_tokens'),
  readRequest(body, line) {
    const { facts, ...request } = anthropicMessages.readRequest(body, line)
    // No tool is run, and nothing is written.
    return {
      ...request,
      facts: { ...facts, kind: 'count', stream: false, outputCap: null, unbounded: [], hostedTools: [] },
    }
  },
  upstreamPath: (_model, line) => `/v1/messages/count_tokens${forwardedQuery(line.query)}`,
  createTap: createCountTap,
}
