// Mail: sends a message by SMTP, to an address that is looked up and checked here. What a server says to an attempt decides whether it is
// repeated soon.

import { isIP } from 'node:net'
import type { ConnectionOptions } from 'node:tls'
import { smtpServerOf } from '../config/alerts.ts'
import { isPublicAddress } from '../config/private-addresses.ts'
import { secretsOfSignIn } from './hidden.ts'
import { mailParts } from './messages.ts'
import { addressesOf, PrivateHost, type Resolve } from './public-hosts.ts'
import { type AddressOf, type Attempt, type Deliver, type Parcel, plainText } from './receiver.ts'

const CONNECT_TIMEOUT_MS = 10_000
const SOCKET_TIMEOUT_MS = 15_000
/** SMTP: 5xx is a refusal that stays, 4xx one that may pass. */
const MIN_LASTING_REPLY = 500

/** @param trust certificates that are trusted beside the system's, in tests */
export function mailDelivery(resolve: Resolve, trust: Pick<ConnectionOptions, 'ca'> = {}): Deliver<'mail'> {
  return async (address, parcel, allowPrivate, signal) => {
    const server = smtpServerOf(address.server)
    if (!server) return { kind: 'failed', error: 'The address of the mail server is not valid.', retry: 'seldom' }
    try {
      const [host = ''] = await addressesOf(server.host, resolve, allowPrivate)
      const connection = { ...server, address: host }
      return await sendMail(address, connection, parcel, trust, signal)
    } catch (error) {
      return failedAttempt(error, server.host, secretsOfSignIn(address.user, address.password))
    }
  }
}

interface Connection {
  /** As it is written, for its certificate. */
  readonly host: string
  /** The address that was checked. */
  readonly address: string
  readonly port: number
  readonly isSecure: boolean
}

async function sendMail(
  { user, password, from, to }: AddressOf<'mail'>,
  { host, address, port, isSecure }: Connection,
  { id, message }: Parcel,
  trust: Pick<ConnectionOptions, 'ca'>,
  signal: AbortSignal,
): Promise<Attempt> {
  // Most gateways send no mail, and start faster without the library.
  const { createTransport } = await import('nodemailer')
  const transport = createTransport({
    host: address,
    port,
    secure: isSecure,
    // Only to a relay on the own network, and without a password, is mail sent in clear.
    requireTLS: !isSecure && (user !== '' || isPublicAddress(address)),
    ...(user === '' ? {} : { auth: { user, pass: password } }),
    tls: { ...trust, ...(isIP(host) === 0 ? { servername: host } : {}) },
    connectionTimeout: CONNECT_TIMEOUT_MS,
    greetingTimeout: CONNECT_TIMEOUT_MS,
    socketTimeout: SOCKET_TIMEOUT_MS,
    disableFileAccess: true,
    disableUrlAccess: true,
  })
  const close = () => transport.close()
  signal.addEventListener('abort', close)
  try {
    const sent = await abortable(
      transport.sendMail({
        from,
        to: [...to],
        messageId: `<${id}@bursar>`,
        headers: { 'Auto-Submitted': 'auto-generated', 'X-Bursar-Alert': message.type },
        ...mailParts(message),
      }),
      signal,
    )
    const reply = `${host} answered: ${plainText(sent.response, secretsOfSignIn(user, password))}`
    const refused = sent.rejected.map(String).join(', ')
    return refused === ''
      ? { kind: 'delivered', reply }
      : { kind: 'delivered', reply, warning: `${host} does not take mail for ${plainText(refused)}` }
  } finally {
    signal.removeEventListener('abort', close)
    transport.close()
  }
}

/** Closing a transport does not end a send that waits for a silent server. */
function abortable<Value>(promise: Promise<Value>, signal: AbortSignal): Promise<Value> {
  const { promise: aborted, reject } = Promise.withResolvers<never>()
  const abort = () => reject(new Error('took too long'))
  if (signal.aborted) abort()
  signal.addEventListener('abort', abort, { once: true })
  promise.catch(() => {})
  return Promise.race([promise, aborted]).finally(() => signal.removeEventListener('abort', abort))
}

function failedAttempt(error: unknown, host: string, secrets: readonly string[]): Attempt {
  if (error instanceof PrivateHost) return { kind: 'failed', error: error.message, retry: 'seldom' }
  const { message = 'unknown', responseCode } = error as { readonly message?: string; readonly responseCode?: number }
  const isLasting = responseCode !== undefined && responseCode >= MIN_LASTING_REPLY
  return {
    kind: 'failed',
    error: `${host}: ${plainText(message, secrets)}`,
    retry: isLasting ? 'seldom' : 'soon',
  }
}
