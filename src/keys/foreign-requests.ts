// Foreign requests: what a gateway without keys does not answer. It knows no keys.

import { Problem } from '../core/problem.ts'
import type { RequestLine } from '../wire/dialect.ts'

const FOREIGN_HOST =
  'Without BURSAR_KEYS the gateway answers only requests to localhost, 127.0.0.1 or [::1]. Set BURSAR_KEYS to use other host names.'
const FOREIGN_ADDRESS =
  'Without BURSAR_KEYS the gateway answers only requests from the machine it runs on. Set BURSAR_KEYS, or AUTH=off to let in everyone who reaches it.'
const FOREIGN_PAGE =
  'Without BURSAR_KEYS the gateway accepts no requests from web pages of other origins. Set BURSAR_KEYS to allow them.'
const LOOPBACK_HOST = /^(localhost|127(\.\d{1,3}){3}|\[::1\])(:\d+)?$/i
/** Sockets that listen for both versions of IP write an address of version 4 as `::ffff:127.0.0.1`. */
const LOOPBACK_ADDRESS = /^(::1|(::ffff:)?127(\.\d{1,3}){3})$/i

/** The parts of a request by which its sender is identified. */
export interface SenderRequest extends RequestLine {
  /** The IP address of the client; see `Exchange`. */
  readonly remoteAddress: string | undefined
}

/**
 * Throws Problem `forbidden` for a request from elsewhere. Without keys, any other machine, and any web page that the user opens, could
 * spend their money. Requests must come from this machine, name a local host, and not come from a page of another origin. The name
 * alone is no guard: only browsers tell the truth.
 * @param authOff `AUTH=off`: addresses and host names do not matter
 */
export function refuseForeigners(request: SenderRequest, authOff: boolean): void {
  const { remoteAddress } = request
  if (!authOff && remoteAddress !== undefined && !LOOPBACK_ADDRESS.test(remoteAddress))
    throw new Problem('forbidden', FOREIGN_ADDRESS)
  const host = request.header('host') ?? ''
  if (!authOff && host !== '' && !LOOPBACK_HOST.test(host)) throw new Problem('forbidden', FOREIGN_HOST)
  // Browsers send no origin for images and scripts, but they send this header.
  const site = request.header('sec-fetch-site')
  if (site === 'cross-site' || site === 'same-site') throw new Problem('forbidden', FOREIGN_PAGE)
  const origin = request.header('origin')
  if (origin !== undefined && origin.replace(/^https?:\/\//, '') !== host) throw new Problem('forbidden', FOREIGN_PAGE)
}
