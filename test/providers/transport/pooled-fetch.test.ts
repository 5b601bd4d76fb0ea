// Pooled fetch: what an SDK may expect of it, and that nothing of a call is kept once it is over.

import { getEventListeners } from 'node:events'
import { createServer, type ServerResponse } from 'node:http'
import { afterAll, beforeAll, expect, test } from 'vitest'
import { HttpForwarder } from '../../../src/providers/transport/http-forwarder.ts'
import { pooledFetch } from '../../../src/providers/transport/pooled-fetch.ts'
import { listen } from '../../support/provider.ts'

let respond: (response: ServerResponse) => void
const server = createServer((request, response) => {
  request.resume().on('end', () => respond(response))
})
let url: string
let forward: HttpForwarder

beforeAll(async () => {
  url = await listen(server)
  forward = new HttpForwarder({ baseUrl: url, credentials: [] })
})

afterAll(async () => {
  await forward.close()
  server.close()
})

/** One call, and how many still listen to its signal. */
function fetchServer() {
  const { signal } = new AbortController()
  let started = 0
  const init = { method: 'POST', body: '{}', signal, started: () => started++ }
  const response = pooledFetch(forward)(`${url}/v1/messages`, init)
  return { response, listeners: () => getEventListeners(signal, 'abort').length, started: () => started }
}

test('an answer that ended leaves nothing on the signal', async () => {
  respond = (response) => response.end('whole')
  const { response, listeners, started } = fetchServer()
  expect(listeners()).toBe(1)
  expect(await (await response).text()).toBe('whole')
  expect([listeners(), started()]).toEqual([0, 1])
})

test('an answer that broke off leaves nothing on the signal', async () => {
  respond = (response) => {
    response.write('half', () => response.destroy())
  }
  const { response, listeners } = fetchServer()
  await expect(response.then((answer) => answer.text())).rejects.toThrow()
  expect(listeners()).toBe(0)
})

test('no answer at all leaves nothing on the signal', async () => {
  respond = (response) => response.destroy()
  const { response, listeners } = fetchServer()
  await expect(response).rejects.toThrow()
  expect(listeners()).toBe(0)
})

test('an answer that is not read to its end leaves nothing on the signal', async () => {
  respond = (response) => response.write('half')
  const { response, listeners } = fetchServer()
  await (await response).body?.cancel()
  await expect.poll(listeners).toBe(0)
})

test('a signal that has fired before sends nothing', async () => {
  respond = (response) => response.end()
  let started = 0
  const init = { method: 'POST', signal: AbortSignal.abort(), started: () => started++ }
  await expect(pooledFetch(forward)(url, init)).rejects.toThrow()
  expect(started).toBe(0)
})

test.each([
  [500, true],
  [200, false],
])('of a body that does not end, with status %i, too much is cut: %s', async (status, isCut) => {
  const maxBytes = 4_000_000
  let isClosed = false
  respond = (response) => {
    response.writeHead(status).on('close', () => {
      isClosed = !response.writableFinished
    })
    response.write('x'.repeat(maxBytes), () => !isCut && response.end())
  }
  const { response, listeners } = fetchServer()
  const { length } = await (await response).text()
  if (isCut) expect(length).toBeLessThanOrEqual(1_048_576)
  else expect(length).toBe(maxBytes)
  expect(listeners()).toBe(0)
  await expect.poll(() => isClosed).toBe(isCut)
})
