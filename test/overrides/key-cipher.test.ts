// The cipher of providers' keys: what is sealed is read again under the same secret and at the same place, and nowhere else.

import { randomBytes } from 'node:crypto'
import { describe, expect, test } from 'vitest'
import { KeyCipher } from '../../src/overrides/key-cipher.ts'

const SECRET = 'a-secret-of-these-tests'
const KEY = 'sk-proj-abcdefghijklmnop'
const PLACE = { provider: 'openai', baseUrl: 'https://proxy.example/v1' }
const cipher = new KeyCipher(SECRET, randomBytes)

test('a key is read again, also after a restart', async () => {
  const sealed = await cipher.seal(KEY, PLACE)
  expect(await cipher.open(sealed, PLACE)).toBe(KEY)
  expect(await new KeyCipher(SECRET, randomBytes).open(sealed, PLACE)).toBe(KEY)
})

test('the same key is sealed differently each time, and never in clear', async () => {
  const [first, second] = [await cipher.seal(KEY, PLACE), await cipher.seal(KEY, PLACE)]
  expect(first.nonce).not.toBe(second.nonce)
  expect(first.sealed).not.toBe(second.sealed)
  const bytes = Buffer.from(first.sealed, 'base64')
  expect(bytes.length).toBe(KEY.length + 16)
  expect(bytes.includes(KEY.slice(0, 6))).toBe(false)
})

describe('a key is not read', () => {
  test('under another secret', async () => {
    const sealed = await cipher.seal(KEY, PLACE)
    expect(await new KeyCipher(`${SECRET}!`, randomBytes).open(sealed, PLACE)).toBeUndefined()
  })

  test.each([
    ['of another provider', { ...PLACE, provider: 'groq' }],
    ['with another address', { ...PLACE, baseUrl: 'https://collector.example/v1' }],
    ['without an address', { ...PLACE, baseUrl: null }],
  ])('in the record %s', async (_which, place) => {
    expect(await cipher.open(await cipher.seal(KEY, PLACE), place)).toBeUndefined()
  })

  test('if a bit of it was changed, or it is cut', async () => {
    const { nonce, sealed } = await cipher.seal(KEY, PLACE)
    const bytes = Buffer.from(sealed, 'base64')
    for (const index of [0, KEY.length, bytes.length - 1]) {
      const changed = Buffer.from(bytes)
      changed.writeUInt8((changed[index] ?? 0) ^ 1, index)
      expect(await cipher.open({ nonce, sealed: changed.toString('base64') }, PLACE)).toBeUndefined()
    }
    for (const length of [0, 3, 16, bytes.length - 1])
      expect(await cipher.open({ nonce, sealed: bytes.subarray(0, length).toString('base64') }, PLACE)).toBeUndefined()
    expect(await cipher.open({ nonce: '', sealed }, PLACE)).toBeUndefined()
  })
})
