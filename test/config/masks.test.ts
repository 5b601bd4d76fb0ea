// Masks: no secret is shown in clear, and what is none is shown as it is.

import { describe, expect, test } from 'vitest'
import { maskedKey, shownSections, withoutCredentials } from '../../src/config/masks.ts'

describe('of a key is shown', () => {
  test.each([
    ['sk-proj-abcdefghijklmnopqrst', 'sk-…qrst'],
    ['gsk_abcdefghijklmnopqrst', 'gsk_…qrst'],
    ['AIzaSyabcdefghijklmnopqrst', '…qrst'],
    ['abcdefgh-ijklmnopqrstuvwxyz', '…wxyz'],
    ['sk-short', 'set'],
    ['sk-nineteen-letters', 'set'],
    ['x', 'set'],
  ])('%s: %s', (key, shown) => {
    expect(maskedKey(key)).toBe(shown)
  })
})

describe('of an address is shown', () => {
  test.each([
    ['https://api.example.com/v1', 'https://api.example.com/v1'],
    ['https://user:pass@api.example.com/v1', 'https://…@api.example.com/v1'],
    ['https://token@api.example.com', 'https://…@api.example.com/'],
    ['https://api.example.com/prices.json?sig=abc', 'https://api.example.com/prices.json?…'],
    ['postgres://bursar:pass@db/ledger', 'postgres://…@db/ledger'],
    ['sqlite:bursar.db', 'sqlite:bursar.db'],
    ['Europe/Berlin', 'Europe/Berlin'],
    ['', ''],
  ])('%s: %s', (text, shown) => {
    expect(withoutCredentials(text)).toBe(shown)
  })
})

test('of bursar.json is shown all but secrets: keys, and the values of headers and of the query', () => {
  const sections = {
    limits: { global: { costPerDay: '5' } },
    providers: {
      a: { preset: 'groq', apiKey: 'gsk_the-secret-of-this-row' },
      b: {
        baseUrl: 'http://127.0.0.1:9/v1',
        apiKey: '$B_KEY',
        headers: { 'x-key': 'header-secret' },
        query: { k: 'query-secret' },
      },
      openai: { callerKeys: 'forward' },
    },
  }
  const shown = shownSections(sections)
  expect(shown).toEqual({
    limits: sections.limits,
    providers: {
      a: { preset: 'groq', apiKey: 'gsk_…-row' },
      b: { baseUrl: 'http://127.0.0.1:9/v1', apiKey: '$B_KEY', headers: { 'x-key': 'set' }, query: { k: 'set' } },
      openai: { callerKeys: 'forward' },
    },
  })
  expect(JSON.stringify(shown)).not.toContain('secret')
})
