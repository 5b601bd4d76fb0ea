import fc from 'fast-check'
import { expect, test } from 'vitest'
import { Memo } from '../../src/core/memo.ts'

test('answers what is made of a text, whichever texts came before', () => {
  const texts = fc.array(fc.string({ maxLength: 80, unit: fc.constantFrom('a', 'b', 'é') }))
  fc.assert(
    fc.property(texts, (list) => {
      const memo = new Memo((text) => `<${text}>`)
      for (const text of list) expect(memo.of(text)).toBe(`<${text}>`)
    }),
  )
})

test('makes a short text once, a long one each time: it is not kept', () => {
  const made: string[] = []
  const memo = new Memo((text) => made.push(text))
  const long = 'x'.repeat(65)
  for (const text of ['content-type', 'content-type', '', '', long, long]) memo.of(text)
  expect(made).toEqual(['content-type', '', long, long])
})

test('what is undefined is remembered, too', () => {
  let times = 0
  const memo = new Memo(() => void times++)
  expect([memo.of('host'), memo.of('host'), times]).toEqual([undefined, undefined, 1])
})
