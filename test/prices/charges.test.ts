// Every price has a meter and every meter has a price, or the table of charges says what happens instead.

import { readFileSync } from 'node:fs'
import { fileURLToPath } from 'node:url'
import { describe, expect, test } from 'vitest'
import { CLASS_ROWS, USAGE_CLASSES, type UsageClass, unitsOf } from '../../src/core/usage.ts'
import { createPriceBook } from '../../src/prices/price-book.ts'
import { type FileProvider, readPriceFile } from '../../src/prices/price-file.ts'
import { fileIdOf } from '../../src/prices/price-list.ts'
import { PRESET_NAMES, presetRow } from '../../src/providers/compatible/presets.ts'
import { BUILT_IN_PROVIDERS } from '../../src/providers/index.ts'
import type { AnswerUsage } from '../../src/wire/dialect.ts'
import { bytewise, feed } from '../wire/streams.ts'
import type { ChargeAnswer } from './charge-answers.ts'
import { CHARGES, type Charge } from './charges.ts'

const NOW_MS = Date.UTC(2026, 10, 30)
const book = createPriceBook()
const { providers: FILE_PROVIDERS } = readPriceFile(
  readFileSync(new URL('../../src/prices/prices.json', import.meta.url), 'utf8'),
)

/** Names in the price book of all providers that the gateway has a row for. */
const OUR_PROVIDERS = [
  ...new Set([...BUILT_IN_PROVIDERS.map(({ name }) => name), ...PRESET_NAMES.map((name) => presetRow(name).prices)]),
].filter((name) => name !== 'free')

/** The classes in which a provider of the price file has any price. */
function classesIn({ rates, fees, models }: FileProvider): Set<string> {
  const all = [rates ?? {}, fees ?? {}, ...models.flatMap(({ spans }) => spans.map((span) => span.rates))]
  return new Set(all.flatMap((some) => Object.keys(some)))
}

const rowsOf = (provider: string, price: string) =>
  CHARGES.filter((row) => row.price === price && (row.provider === provider || row.provider === '*'))

/** What the dialect's tap hears in the answer: whole, and streamed in pieces of each of these sizes. */
function heard({ dialect, whole, stream }: ChargeAnswer): (AnswerUsage | undefined)[] {
  const document = dialect.createTap(false, 'application/json', false)
  feed(document, [Buffer.from(JSON.stringify(whole))])
  const streamed = [1, 7, 64, 1_000_000].map((size) => {
    const tap = dialect.createTap(true, 'text/event-stream', false)
    feed(tap, bytewise(Buffer.from(stream ?? ''), size))
    return tap.answerUsage()
  })
  return [document.answerUsage(), ...(stream === undefined ? [] : streamed)]
}

const isClass = (name: string | null): name is UsageClass => USAGE_CLASSES.includes(name as UsageClass)
const named = (rows: readonly Charge[]) => rows.map((row) => [`${row.provider}: ${row.charge}`, row] as const)

describe('a price of the price file has a row', () => {
  test.each(OUR_PROVIDERS)('at %s', (name) => {
    const provider = FILE_PROVIDERS[fileIdOf(name)]
    const missing = [...classesIn(provider ?? { models: [] })].filter((price) => rowsOf(name, price).length === 0)
    expect(missing).toEqual([])
  })

  test('at any provider, if the gateway has no row for the provider', () => {
    const classes = new Set(Object.values(FILE_PROVIDERS).flatMap((provider) => [...classesIn(provider)]))
    expect([...classes].filter((price) => !CHARGES.some((row) => row.price === price))).toEqual([])
  })

  test.each(named(CHARGES.filter(({ booked }) => booked === 'refused')))(
    '%s: nothing else prices its models',
    (_name, row) => {
      const models = FILE_PROVIDERS[fileIdOf(row.provider)]?.models ?? []
      const priced = models.filter(({ spans }) => spans.some(({ rates }) => row.price !== null && row.price in rates))
      expect(priced.length).toBeGreaterThan(0)
      const isServed = (id: string) => book.find(row.provider, id, NOW_MS).price !== undefined
      expect(priced.filter(({ id }) => isServed(id)).map(({ id }) => id)).toEqual([])
    },
  )
})

describe('a class of units', () => {
  test.each(USAGE_CLASSES)('%s has a meter and a price', (name) => {
    const rows = CHARGES.filter((row) => row.price === name && (row.booked === 'units' || row.booked === 'at most'))
    expect(rows.length).toBeGreaterThan(0)
  })

  const metered = CHARGES.filter(({ booked }) => booked === 'units' || booked === 'at most')
  test.each(named(metered))('%s is priced', (_name, { provider, price, model }) => {
    const isPriced =
      provider === '*'
        ? Object.values(FILE_PROVIDERS).some((some) => price !== null && classesIn(some).has(price))
        : isClass(price) && (book.find(provider, model ?? '', NOW_MS).price?.steps[0].rates[price] ?? 0n) > 0n
    expect(isPriced).toBe(true)
  })

  test.each(named(metered))('%s is heard, whole and streamed', (_name, { answer, price, booked }) => {
    const usages = answer ? heard(answer) : []
    expect(usages.length).toBeGreaterThan(0)
    for (const metered of usages) {
      expect(metered).toEqual(usages[0])
      expect(metered?.unmetered).toBeUndefined()
      if (booked === 'at most') expect(metered?.ranCode).toBe(true)
      else expect(metered && isClass(price) && unitsOf(metered.usage, price)).toBeGreaterThan(0)
    }
  })
})

describe('what has no price', () => {
  const stays = CHARGES.filter(({ booked, answer }) => booked === 'reservation' && answer)
  test.each(named(stays))('%s is heard, and is unmetered or has no rate', (_name, { provider, answer }) => {
    for (const metered of answer ? heard(answer) : []) {
      const fees = USAGE_CLASSES.filter((name) => CLASS_ROWS[name].part === 'fee' && name !== 'requests')
      const unpriced = fees.filter(
        (name) => metered && unitsOf(metered.usage, name) > 0 && !rowsOf(provider, name).length,
      )
      expect([...(metered?.unmetered ?? []), ...unpriced].length).toBeGreaterThan(0)
    }
  })

  const free = CHARGES.filter(({ booked }) => booked === 'tokens')
  test.each(named(free))('%s costs its tokens alone', (_name, { answer }) => {
    for (const metered of answer ? heard(answer) : []) expect(metered?.unmetered).toBeUndefined()
  })
})

test('docs/charges.md has the table: `npx vitest run test/prices/charges.test.ts -u` writes it', async () => {
  const file = fileURLToPath(new URL('../../docs/charges.md', import.meta.url))
  const [prose = ''] = readFileSync(file, 'utf8').split(HEADING)
  await expect(`${prose}${HEADING}${CHARGES.map(lineOf).join('\n')}\n`).toMatchFileSnapshot(file)
})

const HEADING = `| provider | charge | where the answer tells it | price | reserved | booked |
|---|---|---|---|---|---|
`
const BOOKED = {
  units: 'the units',
  'at most': 'the most that it can be, `upper_bound`',
  reservation: 'the reservation, `upper_bound`',
  tokens: 'the tokens',
  refused: 'no call',
}

function lineOf({ provider, charge, told, price, reserved, booked }: Charge): string {
  const cost = price === null ? '' : isClass(price) ? `\`${price}\`` : `\`${price}\`, not metered`
  return `| ${provider === '*' ? 'every' : provider} | ${charge} | ${told} | ${cost} | ${reserved} | ${BOOKED[booked]} |`
}
