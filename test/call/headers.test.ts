// Headers between caller and provider: those of one connection, and those about one side, do not reach the other side.

import { request } from 'node:http'
import { json } from 'node:stream/consumers'
import { describe, expect, it } from 'vitest'
import { answerWhole, useGateway } from '../support/gateway.ts'
import { DIALECT_NAMES, type DialectName, requestFor } from './dialect-fixtures.ts'

const USED = { input: 20, output: 10 }

/** Sends a call with these headers as they are, which fetch would not. */
function send(url: string, dialect: DialectName, headers: Readonly<Record<string, string>>): Promise<number> {
  const { path, body } = requestFor(dialect, { cap: 10 })
  return new Promise((resolve, reject) => {
    const sent = request(url + path, { method: 'POST', headers: { 'content-type': 'application/json', ...headers } })
    sent.on('error', reject)
    sent.on('response', (answer) => void json(answer).then(() => resolve(answer.statusCode ?? 0), reject))
    sent.end(body)
  })
}

describe.each(DIALECT_NAMES)('%s:', (dialect) => {
  it('headers of the caller’s connection do not reach the provider', async () => {
    const gateway = await useGateway({ respond: (call) => answerWhole(call, USED) })
    const status = await send(gateway.url, dialect, {
      Connection: 'keep-alive, X-Hop, content-type',
      'X-Hop': '1',
      'X-End': '2',
      'Keep-Alive': 'timeout=5',
      'Proxy-Authorization': 'Basic c2VjcmV0',
      TE: 'gzip',
      'X-Forwarded-For': '10.1.1.1',
      'X-Forwarded-Port': '80',
    })
    expect(status).toBe(200)
    const headers = gateway.provider.received[0]?.headers
    expect(headers).toMatchObject({ 'x-end': '2', 'content-type': 'application/json' })
    for (const name of ['x-hop', 'keep-alive', 'proxy-authorization', 'te', 'x-forwarded-for', 'x-forwarded-port'])
      expect(headers?.[name], name).toBeUndefined()
  })

  it.each([200, 429])(
    'headers of the provider’s connection and address do not reach the caller: %d',
    async (status) => {
      const gateway = await useGateway({
        respond: (call) => {
          const { response } = call
          response.setHeaders(
            new Map([
              ['connection', 'x-hop'],
              ['x-hop', '1'],
              ['x-end', '2'],
              ['access-control-allow-origin', '*'],
              ['server', 'upstream'],
              ['set-cookie', 'a=b'],
              ['x-should-retry', 'true'],
              ['x-bursar-cost-usd', '0'],
            ]),
          )
          if (status === 200) answerWhole(call, USED)
          else response.writeHead(status, { 'content-type': 'application/json' }).end('{"error":{"message":"no"}}')
        },
      })
      const answer = await gateway.client.asks(dialect, { cap: 10 }, {}, 'over sockets')
      expect(answer.status).toBe(status)
      expect(answer.headers.get('x-end')).toBe('2')
      for (const name of ['x-hop', 'access-control-allow-origin', 'server', 'set-cookie', 'x-should-retry'])
        expect(answer.headers.get(name), name).toBeNull()
      if (status === 200) expect(answer.headers.get('x-bursar-cost-usd')).not.toBe('0')
    },
  )
})
