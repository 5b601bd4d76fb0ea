// Receivers on real sockets: what becomes of a message if a receiver answers, refuses, breaks off, or has a name that leads inside.

import { spawnSync } from 'node:child_process'
import { mkdtempSync, readFileSync, rmSync } from 'node:fs'
import { createServer as createTcpServer } from 'node:net'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { SMTPServer } from 'smtp-server'
import { expect, it, onTestFinished } from 'vitest'
import { mailDelivery } from '../../src/alerts/mail.ts'
import { messageOf } from '../../src/alerts/messages.ts'
import { resolveBySystem } from '../../src/alerts/public-hosts.ts'
import { receivers } from '../../src/alerts/receivers.ts'
import { type AlertRow, type ReceiverAddress, readAlerts } from '../../src/config/alerts.ts'
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

const TOKEN = 'Tk-91.Zq7/x+Y'
const PATH = `/services/B0042/${encodeURIComponent(TOKEN)}?sig=a%20Sign-8&v=1`
it.each([
  ['its whole path', PATH],
  ['its path, decoded', decodeURIComponent(PATH)],
  ['a segment', 'no B0042 here'],
  ['a segment, decoded', `no ${TOKEN} here`],
  ['a segment, as it is written', `no ${encodeURIComponent(TOKEN)} here`],
  ['a segment in small letters', `no ${TOKEN.toLowerCase()} here`],
  ['a part of a segment, beside letters', 'no_xTk-91.Zq7x_here'],
  ['a value of the query', 'no sig "a Sign-8" here'],
  ['a value of the query, encoded twice', 'no a%2520Sign-8 here'],
  ['the path as JSON', JSON.stringify({ path: PATH.replaceAll('/', '\\/') })],
])('a receiver that repeats %s', async (_, said) => {
  const port = await listenTcp((socket) =>
    socket.end(`HTTP/1.1 400 No\r\ncontent-length: ${Buffer.byteLength(said)}\r\n\r\n${said}`),
  )
  const attempt = await deliver({ ...webhook(port), url: `http://127.0.0.1:${port}${PATH}` })
  expect(attempt).toMatchObject({ kind: 'failed', error: expect.stringContaining('status 400: ') })
  for (const part of ['B0042', 'Tk-91', 'Zq7', 'Sign-8'])
    expect(JSON.stringify(attempt)).not.toMatch(new RegExp(part, 'i'))
})

it('a short path takes no signs out of an answer', async () => {
  const said = 'no/route: see https://example.com/v1/help, part a'
  const port = await listenTcp((socket) =>
    socket.end(`HTTP/1.1 400 No\r\ncontent-length: ${said.length}\r\n\r\n${said}`),
  )
  for (const path of ['/', '', '/a', '//'])
    expect(await deliver({ ...webhook(port), url: `http://127.0.0.1:${port}${path}` })).toMatchObject({
      error: `127.0.0.1:${port} answered with status 400: ${said}`,
    })
})

/** A self-signed certificate for a name. Undefined without openssl. */
function certificateFor(name: string) {
  const folder = mkdtempSync(join(tmpdir(), 'bursar-certificate-'))
  try {
    const [key, cert] = [join(folder, 'key.pem'), join(folder, 'cert.pem')]
    const subject = ['-subj', `/CN=${name}`, '-addext', `subjectAltName=DNS:${name}`]
    const curve = ['-newkey', 'ec', '-pkeyopt', 'ec_paramgen_curve:prime256v1', '-nodes', '-days', '2']
    const made = spawnSync('openssl', ['req', '-x509', ...curve, '-keyout', key, '-out', cert, ...subject])
    return made.status === 0 ? { key: readFileSync(key, 'utf8'), cert: readFileSync(cert, 'utf8') } : undefined
  } finally {
    rmSync(folder, { recursive: true })
  }
}

const HOST = 'mail.example.com'
const certificate = certificateFor(HOST)
const otherCertificate = certificateFor('other.example.com')
const USER = 'alerts-user'
const PASSWORD = 'p4ss word!'
if (!certificate) console.warn('Tests of mail over TLS are skipped: openssl is not installed.')

it.skipIf(!certificate).each([
  ['STARTTLS', {}, { kind: 'delivered' }],
  ['TLS from the start', { secure: true }, { kind: 'delivered' }],
  ['a wrong password', { password: 'other word' }, { kind: 'failed', retry: 'seldom' }],
  ['a certificate of another host', { of: otherCertificate }, { kind: 'failed', retry: 'soon' }],
  ['a certificate that nobody trusts', { trusts: false }, { kind: 'failed', retry: 'soon' }],
  ['no STARTTLS', { clear: true }, { kind: 'failed' }],
] as const)('mail over %s', async (_, options, expected) => {
  const {
    secure = false,
    password = PASSWORD,
    of = certificate,
    trusts = true,
    clear = false,
  } = options as {
    readonly secure?: boolean
    readonly password?: string
    readonly of?: typeof certificate
    readonly trusts?: boolean
    readonly clear?: boolean
  }
  const signIns: string[] = []
  let mails = 0
  const encoded = Buffer.from(`\0${USER}\0${password}`).toString('base64')
  const server = new SMTPServer({
    ...of,
    secure,
    ...(clear ? { disabledCommands: ['STARTTLS'], allowInsecureAuth: true } : {}),
    onAuth: ({ username = '', password: given = '' }, session, done) => {
      signIns.push(`${username} ${given} ${session.secure}`)
      if (given === PASSWORD) return done(null, { user: username })
      done(Object.assign(new Error(`no ${username} with ${given}, that is ${encoded}`), { responseCode: 535 }))
    },
    onData: (stream, __, done) => {
      stream.resume().on('end', () => done(null, `for ${USER}: ${++mails}` as never))
    },
  })
  server.on('error', () => {})
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', () => resolve()))
  onTestFinished(() => new Promise<void>((resolve) => server.close(() => resolve())))
  const { port } = server.server.address() as { port: number }
  const address: Extract<ReceiverAddress, { send: 'mail' }> = {
    send: 'mail',
    server: `${secure ? 'smtps' : 'smtp'}://${HOST}:${port}`,
    user: USER,
    password,
    from: 'a@b.de',
    to: ['c@d.de'],
  }
  const send = mailDelivery(
    async () => ['127.0.0.1'],
    trusts ? { ca: [certificate, otherCertificate].flatMap((made) => made?.cert ?? []) } : {},
  )
  const attempt = await send(address, parcel, true, new AbortController().signal)
  expect(attempt).toMatchObject(expected)
  for (const secret of [USER, password, encoded]) expect(JSON.stringify(attempt)).not.toContain(secret)
  // A password goes to nobody but the host itself, and never in clear.
  const isSignIn = expected.kind === 'delivered' || password !== PASSWORD
  expect(signIns).toEqual(isSignIn ? [`${USER} ${password} true`] : [])
  expect(mails).toBe(expected.kind === 'delivered' ? 1 : 0)
})
