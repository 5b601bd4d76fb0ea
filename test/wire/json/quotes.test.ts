import { readFileSync } from 'node:fs'
import { join } from 'node:path'
import fc from 'fast-check'
import { expect, test } from 'vitest'
import wabt from 'wabt'
import { BLOCK_BYTES, Quotes, WASM_BINARY } from '../../../src/wire/json/quotes.ts'

function quotesOf(bytes: Buffer): Quotes {
  const quotes = Quotes.of(bytes)
  if (!quotes) throw new Error('no WebAssembly here')
  return quotes
}

/** All of them, as they are found by asking for one after the other. */
function quotePositions(bytes: Buffer): number[] {
  const quotes = quotesOf(bytes)
  const places: number[] = []
  for (let offset = quotes.firstFrom(0); offset >= 0; offset = quotes.firstFrom(offset + 1)) places.push(offset)
  return places
}

/** Byte by byte. */
function expectedPositions(bytes: Uint8Array): number[] {
  const places: number[] = []
  for (let offset = 0; offset < bytes.length; offset++) {
    if (bytes[offset] === 0x5c) offset++
    else if (bytes[offset] === 0x22) places.push(offset)
  }
  return places
}

const SOME = fc.string({ unit: fc.constantFrom('"', '\\', 'a', 'é'), maxLength: 300 }).map((text) => Buffer.from(text))

test('the binary is that of quotes.wat', async () => {
  const source = readFileSync(join(import.meta.dirname, '../../../src/wire/json/quotes.wat'), 'utf8')
  const { buffer } = (await wabt()).parseWat('quotes.wat', source, { simd: true }).toBinary({})
  expect(WASM_BINARY.equals(buffer)).toBe(true)
})

test('finds every quote that no backslash escapes, and no other', () => {
  fc.assert(
    fc.property(SOME, (bytes) => {
      expect(quotePositions(bytes)).toEqual(expectedPositions(bytes))
    }),
  )
})

test('rows of backslashes go on from one step to the next, and from one block to the next', () => {
  const edges = fc.constantFrom(64, 128, BLOCK_BYTES, 2 * BLOCK_BYTES)
  const before = fc.nat(70)
  fc.assert(
    fc.property(edges, before, SOME, (edge, back, bytes) => {
      const text = Buffer.concat([Buffer.alloc(Math.max(0, edge - back), 0x61), bytes, Buffer.alloc(100, 0x62)])
      expect(quotePositions(text)).toEqual(expectedPositions(text))
    }),
    { numRuns: 500 },
  )
})

test('a block may be nothing but quotes', () => {
  const bytes = Buffer.alloc(BLOCK_BYTES + 65, '"')
  const quotes = quotesOf(bytes)
  expect([0, 1, BLOCK_BYTES - 1, BLOCK_BYTES, BLOCK_BYTES + 64].map((offset) => quotes.firstFrom(offset))).toEqual([
    0,
    1,
    BLOCK_BYTES - 1,
    BLOCK_BYTES,
    BLOCK_BYTES + 64,
  ])
  expect(quotes.firstFrom(BLOCK_BYTES + 65)).toBe(-1)
})

test('what another text has is never found, whichever text is searched in between', () => {
  const blocks = fc.array(fc.constantFrom('"', '\\"', 'a'.repeat(BLOCK_BYTES - 1), '\\'), {
    minLength: 1,
    maxLength: 4,
  })
  const asked = fc.array(fc.tuple(fc.nat(1), fc.nat(3 * BLOCK_BYTES)), { maxLength: 8 })
  fc.assert(
    fc.property(blocks, blocks, asked, (first, second, questions) => {
      const texts = [Buffer.from(first.join('')), Buffer.from(second.join(''))]
      const finders = texts.map(quotesOf)
      for (const [which, offset] of questions) {
        const expected = expectedPositions(texts[which] ?? Buffer.alloc(0)).find((place) => place >= offset) ?? -1
        expect(finders[which]?.firstFrom(offset)).toBe(expected)
      }
    }),
  )
})

test('bytes that stand behind a text in its buffer are not part of it', () => {
  const buffer = Buffer.from(`${' '.repeat(10)}"`)
  expect(quotesOf(buffer.subarray(0, 10)).firstFrom(0)).toBe(-1)
})

test('may be asked for an earlier one again', () => {
  const bytes = Buffer.from(`"${'a'.repeat(BLOCK_BYTES)}"`)
  const quotes = quotesOf(bytes)
  expect([1, 0, 1, BLOCK_BYTES + 2, 0].map((offset) => quotes.firstFrom(offset))).toEqual([
    BLOCK_BYTES + 1,
    0,
    BLOCK_BYTES + 1,
    -1,
    0,
  ])
})

test('nor does an earlier one leave anything of itself behind', () => {
  const bytes = Buffer.from(`"${'\\'.repeat(BLOCK_BYTES)}"`)
  const quotes = quotesOf(bytes)
  expect(quotes.firstFrom(BLOCK_BYTES)).toBe(BLOCK_BYTES + 1)
  expect(quotes.firstFrom(0)).toBe(0)
})

test('how one text ends says nothing of the next', () => {
  expect(quotePositions(Buffer.from(`"${'a'.repeat(62)}\\`))).toEqual([0])
  expect(quotePositions(Buffer.from('"a"'))).toEqual([0, 2])
})

test('a quote may be all there is of the last block', () => {
  expect(quotePositions(Buffer.from(`${'a'.repeat(BLOCK_BYTES)}"`))).toEqual([BLOCK_BYTES])
  expect(quotePositions(Buffer.from(`"${'a'.repeat(2 * BLOCK_BYTES - 1)}"`))).toEqual([0, 2 * BLOCK_BYTES])
})

test('blocks without quotes are passed over, whatever backslashes they end with', () => {
  const bare = fc.integer({ min: BLOCK_BYTES, max: 2 * BLOCK_BYTES })
  fc.assert(
    fc.property(SOME, bare, fc.nat(3), SOME, (head, length, backslashes, tail) => {
      const text = Buffer.concat([head, Buffer.alloc(length, 'a'), Buffer.alloc(backslashes, '\\'), tail])
      expect(quotePositions(text)).toEqual(expectedPositions(text))
    }),
  )
})
