// An expired call is settled at its whole reservation, on the side on which its dialect can have tokens.

import { describe, expect, test } from 'vitest'
import { expiredOutcome } from '../../src/core/open-calls.ts'
import { inputTokens, outputTokens } from '../../src/core/usage.ts'
import { geminiEmbed } from '../../src/wire/gemini/embed.ts'
import { openaiEmbeddings } from '../../src/wire/openai/embeddings.ts'
import { openaiResponses } from '../../src/wire/openai/responses.ts'
import { factsOf } from '../stores/calls.ts'

describe('the whole reservation', () => {
  test.each([
    [openaiEmbeddings.name, [70, 0], [9n, 0n]],
    [geminiEmbed.name, [70, 0], [9n, 0n]],
    [openaiResponses.name, [0, 70], [0n, 9n]],
  ])('of a call in %s stands as %j tokens in and out', (dialect, tokens, nanoUsd) => {
    const { usage, cost, ending, certainty } = expiredOutcome(
      factsOf('a', { dialect, reservedTokens: 70, reservedCostNanoUsd: 9n }),
      5_000,
    )
    expect([inputTokens(usage), outputTokens(usage)]).toEqual(tokens)
    expect([cost.inputNanoUsd, cost.outputNanoUsd]).toEqual(nanoUsd)
    expect([cost.totalNanoUsd, ending, certainty]).toEqual([9n, 'expired', 'upperBound'])
  })
})
