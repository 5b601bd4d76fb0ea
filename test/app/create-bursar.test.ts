// createBursar(): options that it does not have, as programs without types can hand in.

import { describe, expect, it } from 'vitest'
import { type BursarOptions, createBursar } from '../../src/index.ts'

/** The mistakes of options, of which nothing is opened. */
async function mistakesOf(options: object): Promise<unknown> {
  return createBursar(options as BursarOptions).then(
    () => 'none',
    (error: unknown) => (error instanceof Error && 'mistakes' in error ? error.mistakes : error),
  )
}

describe('createBursar()', () => {
  it('refuses options that it does not know, together with all other mistakes', async () => {
    const limits = { perUser: { costPerDay: '1.00' } }
    expect(await mistakesOf({ confg: { limits }, limits, env: { PORT: 'x', DATABASE_URL: 'memory:' } })).toEqual([
      'confg: must not be here. Did you mean config? The keys here are env or config',
      'limits: must not be here. The keys here are env or config',
      'PORT: must be a whole number from 0 to 65535',
    ])
  })

  it('refuses settings that are no text', async () => {
    const env = { PORT: 8787, DAILY_SPENDING_LIMIT: null, DATABASE_URL: 'memory:' }
    expect(await mistakesOf({ env })).toEqual(['PORT: must be text', 'DAILY_SPENDING_LIMIT: must be text'])
  })
})
