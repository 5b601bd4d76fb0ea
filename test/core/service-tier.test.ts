// Service tiers: their names in requests and answers.

import { expect, test } from 'vitest'
import { servedTier, tierName } from '../../src/core/service-tier.ts'

test.each([
  ['priority', 'priority'],
  ['PRIORITY', 'priority'],
  [' Priority ', 'priority'],
  ['SERVICE_TIER_PRIORITY', 'priority'],
  ['service-tier-priority', 'priority'],
  ['ON_DEMAND_PRIORITY', 'priority'],
  ['ON_DEMAND', 'on_demand'],
  ['SERVICE_TIER_FLEX', 'flex'],
  ['fast+us', 'fast+us'],
])('%s is %s', (text, name) => {
  expect([tierName(text), servedTier(text)]).toEqual([name, name])
})

test.each(['', 'auto', 'AUTO', 'SERVICE_TIER_UNSPECIFIED', 'batch', null, undefined, 7, {}])(
  'as the tier that answered, %j tells nothing',
  (text) => {
    expect(servedTier(text)).toBeNull()
  },
)
