// Notes of callers on their calls: how many things a call makes, and what its metadata say. Both are in the ledger, and nothing else is.

import { describe, expect, it } from 'vitest'
import { dialectNamed } from '../../src/wire/index.ts'
import { useGateway } from '../support/gateway.ts'
import { type DialectName, errorIn, requestFor } from './dialect-fixtures.ts'

/** The metadata of the one call that was made with these fields in its body. */
async function metadataOf(dialect: DialectName, fields: object): Promise<string | null | undefined> {
  const gateway = await useGateway()
  const { path, body } = requestFor(dialect, { cap: 10 })
  const init = { method: 'POST', headers: { 'content-type': 'application/json' } }
  const sent = JSON.stringify({ ...JSON.parse(String(body)), ...fields })
  const answer = await gateway.client.fetch('in process', path, { ...init, body: sent })
  expect([answer.status, await answer.text()]).toEqual([200, expect.anything()])
  const [entry] = await gateway.ledger.holds(1)
  return entry?.facts.metadata
}

const NO_HEADERS = { method: 'POST', path: '/v1/responses', query: '', header: () => undefined }
const NOTES = { ticket: 'T-1', 'customer name': 'Ünïcode "quoted"' }

describe('metadata of a call', () => {
  it.each([
    ['openai', { metadata: NOTES }],
    ['gemini', { labels: NOTES }],
  ] as const)('are in the ledger as %s names them', async (dialect, fields) => {
    expect(JSON.parse((await metadataOf(dialect, fields)) ?? '')).toEqual(NOTES)
  })

  it('are read from bodies of the Responses API', () => {
    const body = Buffer.from(JSON.stringify({ model: 'm', input: 'x', metadata: NOTES }))
    const { facts } = dialectNamed('openai.responses').readRequest(body, NO_HEADERS)
    expect(JSON.parse(facts.metadata ?? '')).toEqual(NOTES)
  })

  it.each([
    ['none', {}],
    ['null', { metadata: null }],
    ['text', { metadata: 'secret text' }],
    ['a list', { metadata: [1, 2] }],
    ['an empty object', { metadata: {} }],
    ['more than 2 kB', { metadata: { note: 'x'.repeat(2_040) } }],
    ['metadata of a message', { messages: [{ role: 'user', content: 'x', metadata: NOTES }] }],
  ])('are null for %s, and the call is sent', async (_what, fields) => {
    expect(await metadataOf('openai', fields)).toBeNull()
  })

  it('are kept up to 2 kB', async () => {
    const notes = JSON.stringify({ note: 'x'.repeat(2_048 - 11) })
    expect(notes).toHaveLength(2_048)
    expect(await metadataOf('openai', { metadata: JSON.parse(notes) })).toBe(notes)
  })

  it('are not those of Anthropic’s users, who are in the entry already', async () => {
    expect(await metadataOf('anthropic', { metadata: { user_id: 'ann' } })).toBeNull()
  })
})

describe('x-bursar-items', () => {
  const call = async (items: string) => {
    const gateway = await useGateway()
    const answer = await gateway.client.asks('openai', { cap: 10 }, { headers: { 'x-bursar-items': items } })
    return { gateway, answer }
  }

  it.each(['1', '12', '1000000000'])('of %s is in the ledger', async (items) => {
    const { gateway, answer } = await call(items)
    await answer.text()
    expect((await gateway.ledger.holds(1))[0]?.facts.items).toBe(Number(items))
  })

  it.each(['0', '-1', '1.5', 'many', '1000000001', '1e3'])(
    'of %s is refused before anything is sent',
    async (items) => {
      const { gateway, answer } = await call(items)
      expect(answer.status).toBe(400)
      expect(errorIn('openai', await answer.json()).message).toContain('x-bursar-items: must be a whole number')
      expect(gateway.provider.received).toEqual([])
    },
  )
})
