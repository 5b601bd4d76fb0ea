import { expect, it } from 'vitest'
import { NamedTurns } from '../../src/core/named-turns.ts'

it('steps of one name run one after the other, also after one that fails, and those of others do not wait', async () => {
  const turns = new NamedTurns()
  const order: string[] = []
  const { promise, resolve } = Promise.withResolvers<void>()
  const first = turns.run('a', async () => {
    await promise
    order.push('a1')
    throw new Error('no')
  })
  const second = turns.run('a', async () => order.push('a2'))
  await turns.run('b', async () => order.push('b'))
  resolve()
  await expect(first).rejects.toThrow('no')
  await second
  expect(order).toEqual(['b', 'a1', 'a2'])
  await turns.run('a', async () => {})
  await Promise.resolve()
  expect(turns.size).toBe(0)
})
