// Anthropic's count of tokens: POST /v1/messages/count_tokens. It takes a request, and no money.

import type { Dialect } from '../dialect.ts'
import { forwardedQuery } from '../headers.ts'
import { countingTap } from '../taps/count.ts'
import { anthropicMessages } from './messages.ts'

export const anthropicCountTokens: Dialect = {
  ...anthropicMessages,
  name: 'anthropic.countTokens',
  readRequest(body, line) {
    const { facts, ...reading } = anthropicMessages.readRequest(body, line)
    // No tool is run, and nothing is written.
    return { ...reading, facts: { ...facts, kind: 'count', stream: false, outputCap: null, unbounded: [] } }
  },
  upstreamPath: (_model, line) => `/v1/messages/count_tokens${forwardedQuery(line.query)}`,
  createTap: countingTap,
}
