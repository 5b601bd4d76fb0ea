// HTTP post: sends a message over a pool of its own. It follows no redirect, reads little of an answer, and retries nothing.

import { Agent, type Dispatcher } from 'undici'
import { isPrivateHost } from '../config/private-addresses.ts'
import { secretsOfUrl } from './hidden.ts'
import { checkedLookup, PrivateHost, type Resolve } from './public-hosts.ts'
import { type Attempt, plainText } from './receiver.ts'

const TIMEOUT_MS = 10_000
const KEEP_ALIVE_MS = 1_000
const CONNECTIONS_PER_RECEIVER = 2
/** What is read of an answer, to show it. */
const MAX_REPLY_BYTES = 2_048
const MAX_RETRY_AFTER_MS = 86_400_000
/** Refusals that say nothing about the message. */
const TRANSIENT_STATUSES: ReadonlySet<number> = new Set([408, 425, 429])

export interface Post {
  readonly url: string
  readonly headers: Readonly<Record<string, string>>
  readonly body: string
  readonly allowPrivate: boolean
  readonly signal: AbortSignal
}

/** Close it with the gateway. */
export class HttpPoster {
  readonly #public: Agent
  readonly #any: Agent

  constructor(resolve: Resolve) {
    const options: Agent.Options = {
      headersTimeout: TIMEOUT_MS,
      bodyTimeout: TIMEOUT_MS,
      keepAliveTimeout: KEEP_ALIVE_MS,
      keepAliveMaxTimeout: KEEP_ALIVE_MS,
      connections: CONNECTIONS_PER_RECEIVER,
    }
    this.#public = new Agent({ ...options, connect: { timeout: TIMEOUT_MS, lookup: checkedLookup(resolve) } })
    this.#any = new Agent({ ...options, connect: { timeout: TIMEOUT_MS } })
  }

  /** Never rejects. */
  async post({ url, headers, body, allowPrivate, signal }: Post): Promise<Attempt> {
    const address = new URL(url)
    const { origin, pathname, search, host, hostname } = address
    // A connection looks up no address that is written in numbers.
    if (!allowPrivate && isPrivateHost(hostname)) return refused(new PrivateHost(`${host} is private`), host)
    const agent = allowPrivate ? this.#any : this.#public
    try {
      const answer = await agent.request({ origin, path: pathname + search, method: 'POST', headers, body, signal })
      return attemptOf(answer, host, await replyOf(answer), secretsOfUrl(address))
    } catch (error) {
      return refused(error, host)
    }
  }

  async close(): Promise<void> {
    await Promise.all([this.#public.destroy(), this.#any.destroy()])
  }
}

function attemptOf(
  { statusCode, headers }: Dispatcher.ResponseData,
  host: string,
  reply: string,
  secrets: readonly string[],
): Attempt {
  const said = plainText(reply, secrets)
  const shown = `${host} answered with status ${statusCode}${said === '' ? '' : `: ${said}`}`
  if (statusCode >= 200 && statusCode < 300) return { kind: 'delivered', reply: shown }
  if (statusCode === 410) return { kind: 'gone', error: shown }
  if (statusCode >= 300 && statusCode < 400)
    return { kind: 'failed', error: `${shown}; redirects are not followed`, retry: 'seldom' }
  const isRefusal = statusCode < 500 && !TRANSIENT_STATUSES.has(statusCode)
  const retryAfterMs = retryAfterOf(headers['retry-after'])
  return {
    kind: 'failed',
    error: shown,
    retry: isRefusal ? 'seldom' : 'soon',
    ...(retryAfterMs === undefined ? {} : { retryAfterMs }),
  }
}

/** In seconds. Dates are rare in practice, and the usual wait serves as well. */
function retryAfterOf(header: string | string[] | undefined): number | undefined {
  const text = typeof header === 'string' ? header.trim() : ''
  return /^\d{1,9}$/.test(text) ? Math.min(Number(text) * 1_000, MAX_RETRY_AFTER_MS) : undefined
}

/** The beginning of an answer. The status decides, so an answer that breaks off, or never ends, is as good. */
async function replyOf({ body }: Dispatcher.ResponseData): Promise<string> {
  const chunks: Buffer[] = []
  let bytes = 0
  try {
    for await (const chunk of body as AsyncIterable<Buffer>) {
      chunks.push(chunk)
      bytes += chunk.length
      if (bytes >= MAX_REPLY_BYTES) break
    }
  } catch {
    // What came is shown.
  } finally {
    body.on('error', () => {}).destroy()
  }
  return Buffer.concat(chunks).subarray(0, MAX_REPLY_BYTES).toString('utf8')
}

function refused(error: unknown, host: string): Attempt {
  if (error instanceof PrivateHost) return { kind: 'failed', error: error.message, retry: 'seldom' }
  const reason = error instanceof Error ? ('code' in error ? String(error.code) : error.name) : 'unknown'
  return { kind: 'failed', error: `${host} could not be reached: ${plainText(reason)}`, retry: 'soon' }
}
