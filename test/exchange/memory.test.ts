// The exchange of a call that the gateway makes for itself: what it is asked with, and what comes back in the end.

import { describe, expect, it } from 'vitest'
import { MemoryExchange } from '../../src/exchange/memory.ts'

const open = () =>
  new MemoryExchange({
    path: '/v1/chat/completions',
    query: 'key=k',
    headers: ['x-api-key', 'k', 'x-bursar-task', 't', 'x-bursar-task', 'other'],
    body: Buffer.from('{"model":"m"}'),
  })

describe('its request', () => {
  it('is a POST with the headers it was given, the first where there are several', () => {
    const exchange = open()
    expect([exchange.method, exchange.path, exchange.query]).toEqual(['POST', '/v1/chat/completions', 'key=k'])
    expect(exchange.header('x-bursar-task')).toBe('t')
    expect(exchange.header('k')).toBeUndefined()
    expect(exchange.header('cookie')).toBeUndefined()
  })

  it('is read whatever its size, and what is held for it is counted first', async () => {
    const held: number[] = []
    const all = { acquire: (bytes: number) => held.push(bytes) > 0 }
    expect((await open().body(1, all)).toString()).toBe('{"model":"m"}')
    expect(held).toEqual([13])
    await expect(open().body(1, { acquire: () => false })).rejects.toMatchObject({ code: 'overloaded' })
  })
})

describe('its answer', () => {
  it('is whole once it has ended, its headers by lower-case name', async () => {
    const exchange = open()
    expect(exchange.headersSent).toBe(false)
    exchange.writeHead(201, ['X-Bursar-Cost-Usd', '0.1', 'content-type', 'application/json'])
    expect(exchange.headersSent).toBe(true)
    expect(exchange.write(Buffer.from('{"a":'))).toBe(true)
    exchange.end('"ü"}')
    const answer = await exchange.response
    expect([answer?.status, answer?.body.toString()]).toEqual([201, '{"a":"ü"}'])
    expect(answer?.headers).toEqual(
      new Map([
        ['x-bursar-cost-usd', '0.1'],
        ['content-type', 'application/json'],
      ]),
    )
  })

  it('may have no body', async () => {
    const exchange = open()
    exchange.writeHead(204, [])
    exchange.end()
    expect(await exchange.response).toEqual({ status: 204, headers: new Map(), body: Buffer.alloc(0) })
  })

  it('that broke off is none', async () => {
    const exchange = open()
    exchange.writeHead(200, [])
    exchange.write(Buffer.from('{"a":'))
    exchange.cut()
    expect(await exchange.response).toBeUndefined()
  })

  it('that has no watcher is none; a watcher hears of it once', async () => {
    const exchange = open()
    let heard = 0
    exchange.watcher = { onClientGone: () => heard++, onClientDrain: () => {} }
    exchange.disconnect()
    exchange.disconnect()
    expect([exchange.clientGone, heard]).toEqual([true, 1])
    exchange.writeHead(200, [])
    exchange.end('{}')
    expect(await exchange.response).toBeUndefined()
  })

  it('that has ended stays what it was', async () => {
    const exchange = open()
    exchange.writeHead(200, [])
    exchange.end('{}')
    exchange.cut()
    exchange.disconnect()
    expect((await exchange.response)?.body.toString()).toBe('{}')
  })
})
