// Receivers on real sockets: what becomes of a message if a receiver answers, refuses, breaks off, or has a name that leads inside.

import { createServer as createTcpServer } from 'node:net'
import { SMTPServer } from 'smtp-server'
import { expect, it, onTestFinished } from 'vitest'
import { messageOf } from '../../src/alerts/messages.ts'
import { resolveBySystem } from '../../src/alerts/public-hosts.ts'
import { receivers } from '../../src/alerts/receivers.ts'
import { type AlertRow, readAlerts } from '../../src/config/alerts.ts'
import type { Finding } from '../../src/config/findings.ts'
import { realTimers } from '../support/clocks.ts'

const SECRET = `whsec_${'A'.repeat(32)}`
const ALERT = {
  kind: 'limit',
  type: 'limit.reached',
  atMs: 0,
  subject: 'global',
  title: 'A title',
  text: 'A text.',
  advice: 'Do <it>.',
  figures: {},
  key: 'k',
  rank: 0,
  keepUntilMs: 0,
} as const
const message = messageOf(ALERT, 'http://localhost/llm/limits')
const parcel = { id: 'msg_1', message, json: JSON.stringify(message), atSeconds: 1 }

function rowOf(row: object): AlertRow {
  const mistakes: Finding[] = []
  const [read] = readAlerts([{ name: 'ops', ...row }], {}, mistakes).rows
  if (!read) throw new Error(JSON.stringify(mistakes))
  return read
}

async function deliver(row: object, resolve = resolveBySystem, stop = new AbortController().signal) {
  const to = receivers(realTimers, resolve)
  try {
    return await to.deliver(rowOf(row), parcel, stop)
  } finally {
    await to.close()
  }
}

async function listenTcp(onData: (socket: import('node:net').Socket) => void): Promise<number> {
  const server = createTcpServer((socket) => {
    socket.on('error', () => {})
    socket.once('data', () => onData(socket))
    onTestFinished(() => void socket.destroy())
  })
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve))
  onTestFinished(() => void server.close())
  return (server.address() as { port: number }).port
}
const webhook = (port: number) => ({
  send: 'webhook',
  url: `http://127.0.0.1:${port}/s3cret`,
  secret: SECRET,
  allowPrivate: true,
})

it.each([
  ['HTTP/1.1 410 Gone\r\ncontent-length: 0\r\n\r\n', { kind: 'gone' }],
  [
    'HTTP/1.1 429 Slow\r\nretry-after: 90\r\ncontent-length: 0\r\n\r\n',
    { kind: 'failed', retry: 'soon', retryAfterMs: 90_000 },
  ],
  ['HTTP/1.1 404 No\r\ncontent-length: 0\r\n\r\n', { kind: 'failed', retry: 'seldom' }],
  ['HTTP/1.1 200 OK\r\ncontent-length: 50\r\n\r\nhalf', { kind: 'delivered' }],
  ['', { kind: 'failed', retry: 'soon' }],
])('an answer that is %j and then the end', async (answer, expected) => {
  const port = await listenTcp((socket) => socket.end(answer))
  const attempt = await deliver(webhook(port))
  expect(attempt).toMatchObject(expected)
  expect(JSON.stringify(attempt)).not.toContain('s3cret')
})

it('a receiver that refuses, and one that hangs until the gateway stops', async () => {
  expect(await deliver(webhook(1))).toMatchObject({ kind: 'failed', retry: 'soon' })
  const stop = new AbortController()
  const port = await listenTcp(() => stop.abort())
  expect(await deliver(webhook(port), resolveBySystem, stop.signal)).toMatchObject({ kind: 'failed', retry: 'soon' })
})

it('a name that leads to a private network is refused with each connection', async () => {
  const row = { send: 'webhook', url: 'https://inside.example.com/', secret: SECRET }
  const attempt = await deliver(row, async () => ['8.8.8.8', '127.0.0.1'])
  expect(attempt).toMatchObject({ kind: 'failed' })
  const mail = { send: 'mail', server: 'smtps://inside.example.com', from: 'a@b.de', to: ['c@d.de'] }
  expect(await deliver(mail, async () => ['10.0.0.1'])).toMatchObject({ kind: 'failed', retry: 'seldom' })
})

it.each([
  [undefined, { kind: 'delivered' }],
  [450, { kind: 'failed', retry: 'soon' }],
  [550, { kind: 'failed', retry: 'seldom' }],
])('a mail server that answers %s', async (code, expected) => {
  const mails: string[] = []
  const server = new SMTPServer({
    authOptional: true,
    disabledCommands: ['STARTTLS'],
    onRcptTo: (_, __, done) => done(code === undefined ? null : Object.assign(new Error('no'), { responseCode: code })),
    onData: (stream, _, done) => {
      let text = ''
      stream.on('data', (chunk) => (text += chunk)).on('end', () => done(null, void mails.push(text) as never))
    },
  })
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', () => resolve()))
  onTestFinished(() => new Promise<void>((resolve) => server.close(() => resolve())))
  const { port } = server.server.address() as { port: number }
  const row = { send: 'mail', server: `smtp://127.0.0.1:${port}`, from: 'a@b.de', to: ['c@d.de'], allowPrivate: true }
  expect(await deliver(row)).toMatchObject(expected)
  // With a password, nothing goes in clear.
  const guarded = await deliver({ ...row, user: 'u', password: 'p4ssword' })
  expect(guarded).toMatchObject({ kind: 'failed' })
  expect(JSON.stringify(guarded)).not.toContain('p4ssword')
  expect(mails).toHaveLength(code === undefined ? 1 : 0)
  if (mails[0]) expect(mails[0]).toMatch(/Message-ID: <msg_1@bursar>/i)
})
