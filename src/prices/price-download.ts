// Price download: gets a price file over HTTP. It checks nothing of what it gets but its size.

import { get as getHttp, type IncomingMessage } from 'node:http'
import { get as getHttps } from 'node:https'

const MAX_FILE_BYTES = 16_777_216
const MAX_REDIRECTS = 3
const TIMEOUT_MS = 30_000

/**
 * The text at an HTTP(S) address. Redirects are followed, but never from https to http.
 * Rejects with an Error that names no more of the address than its host: the rest may hold a secret.
 */
export async function downloadText(address: string, signal: AbortSignal): Promise<string> {
  let url = new URL(address)
  for (let redirects = 0; redirects <= MAX_REDIRECTS; redirects++) {
    const response = await request(url, signal)
    const { statusCode = 0, headers } = response
    if (statusCode === 200) return readText(response)
    response.destroy()
    if (statusCode < 300 || statusCode >= 400 || headers.location === undefined)
      throw new Error(`${url.host} answered with status ${statusCode}`)
    const next = new URL(headers.location, url)
    if (!/^https?:$/.test(next.protocol) || (url.protocol === 'https:' && next.protocol !== 'https:'))
      throw new Error(`${url.host} redirects to an address that is not safe`)
    url = next
  }
  throw new Error(`${url.host} redirects too often`)
}

function request(url: URL, signal: AbortSignal): Promise<IncomingMessage> {
  const get = url.protocol === 'https:' ? getHttps : getHttp
  const headers = { accept: 'application/json', 'user-agent': 'bursar' }
  return new Promise((resolve, reject) => {
    const request = get(url, { headers, signal, timeout: TIMEOUT_MS }, resolve)
    request.on('timeout', () => request.destroy(new Error(`${url.host} did not answer in time`)))
    request.on('error', ({ message }) => reject(new Error(`${url.host} could not be reached: ${message}`)))
  })
}

async function readText(response: IncomingMessage): Promise<string> {
  const chunks: Buffer[] = []
  let bytes = 0
  for await (const chunk of response as AsyncIterable<Buffer>) {
    bytes += chunk.length
    if (bytes > MAX_FILE_BYTES) throw new Error(`the price file is larger than ${MAX_FILE_BYTES} bytes`)
    chunks.push(chunk)
  }
  return Buffer.concat(chunks).toString('utf8')
}
