// Long bodies where there is no WebAssembly: read in the way of short ones.

import fc from 'fast-check'
import { expect, test, vi } from 'vitest'
import { JsonCursor } from '../../../src/wire/json/cursor.ts'

vi.mock('../../../src/wire/json/quotes.ts', async (original) => ({
  ...(await original<object>()),
  Quotes: { of: () => undefined },
}))

test('strings of every length end where JSON.parse has them end', () => {
  const text = fc.string({ unit: fc.constantFrom('"', '\\', 'a', '\n', 'é'), maxLength: 200 })
  fc.assert(
    fc.property(fc.array(text), (texts) => {
      const list = ['x'.repeat(3000), ...texts]
      const json = new JsonCursor(Buffer.from(JSON.stringify(list)))
      const read: string[] = []
      json.enterArray()
      while (json.nextElement()) read.push(json.stringAt(json.range(), 'text'))
      json.finish()
      expect(read).toEqual(list)
    }),
  )
})
