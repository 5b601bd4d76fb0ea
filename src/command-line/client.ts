// Gateway client: the requests of commands to the gateway that runs, and what failed requests mean to people. It keeps nothing.

import { isRecord, parseObject } from '../core/json-values.ts'
import { CommandError } from './errors.ts'

export const DEFAULT_URL = 'http://127.0.0.1:5555'

/** Where the gateway is, and the keys to show it. */
export interface GatewayAccess {
  /** `BURSAR_URL`. */
  readonly url: string | undefined
  /** `BURSAR_ADMIN_KEY`. */
  readonly adminKey: string | undefined
  /** `BURSAR_CALLER_KEY`: a key that makes calls. */
  readonly callerKey: string | undefined
  readonly fetch: typeof fetch
}

/** An answer with a status below 300. */
export interface Answer {
  /** As it came. */
  readonly json: string
  readonly value: Readonly<Record<string, unknown>>
}

/** A long answer with a status below 300, which is read while it comes. */
export interface LongAnswer {
  /** Rejects with CommandError if the answer breaks off. */
  readonly chunks: AsyncIterable<Uint8Array>
}

/** `viewer`: the admin key, or without it a key that makes calls, which sees its own figures. */
type Role = 'admin' | 'caller' | 'viewer'

interface RequestOptions {
  /** Sent as JSON. */
  readonly body?: unknown
  /** Sent as it is, in place of `body`. */
  readonly text?: string
  /** What the endpoint needs. */
  readonly as?: Role
}

/** Long backtests take half a minute. */
const TIMEOUT_MS = 300_000
const MAX_SHOWN_CHARACTERS = 2_000

export class GatewayClient {
  readonly #access: GatewayAccess
  readonly #url: string

  /** Throws CommandError if BURSAR_URL is no address, or a key cannot be sent. */
  constructor(access: GatewayAccess) {
    const url = access.url || DEFAULT_URL
    if (!isAddress(url))
      throw new CommandError(`BURSAR_URL must be an address such as ${DEFAULT_URL}, without a user, a query and a #.`)
    checkKey('BURSAR_ADMIN_KEY', access.adminKey)
    checkKey('BURSAR_CALLER_KEY', access.callerKey)
    this.#access = access
    this.#url = url.replace(/\/+$/, '')
  }

  /** Rejects with CommandError, which says what to do. */
  async send(method: string, path: string, options: RequestOptions = {}): Promise<Answer> {
    const signal = AbortSignal.timeout(TIMEOUT_MS)
    const response = await this.#fetch(method, path, options, signal)
    const json = await this.#textOf(response)
    const value = parseObject(json)
    if (response.status < 300 && value) return { json, value }
    throw this.#failure(response.status, value, path, options.as)
  }

  /**
   * Requests a table. Rejects with CommandError as `send` does. The whole answer may take any time, but five minutes without a byte end it.
   */
  async open(path: string, as: Role): Promise<LongAnswer> {
    const response = await this.#fetch('GET', path, { as })
    const isTable = /^text\/csv\b/.test(response.headers.get('content-type') ?? '')
    if (response.status >= 300 || !isTable)
      throw this.#failure(response.status, parseObject(await this.#textOf(response)), path, as)
    return { chunks: this.#chunksOf(response) }
  }

  async #fetch(
    method: string,
    path: string,
    { body, text, as = 'admin' }: RequestOptions,
    signal?: AbortSignal,
  ): Promise<Response> {
    const key = this.#keyFor(as)
    const sent = text ?? (body === undefined ? undefined : JSON.stringify(body))
    const headers = {
      ...(key === '' ? {} : { authorization: `Bearer ${key}` }),
      ...(sent === undefined ? {} : { 'content-type': 'application/json' }),
    }
    try {
      return await this.#access.fetch(this.#url + path, {
        method,
        headers,
        ...(sent === undefined ? {} : { body: sent }),
        // A key must not follow a redirect to another place.
        redirect: 'manual',
        ...(signal === undefined ? {} : { signal }),
      })
    } catch (error) {
      throw new CommandError(this.#unreachableText(error), { cause: error })
    }
  }

  async #textOf(response: Response): Promise<string> {
    try {
      return await response.text()
    } catch (error) {
      throw new CommandError(this.#unreachableText(error), { cause: error })
    }
  }

  async *#chunksOf({ body }: Response): AsyncGenerator<Uint8Array> {
    try {
      for await (const chunk of body ?? []) yield chunk
    } catch (error) {
      throw new CommandError(`The answer of the gateway broke off${reasonOf(error)}.`, { cause: error })
    }
  }

  #keyFor(as: Role): string {
    const { adminKey = '', callerKey = '' } = this.#access
    return as === 'caller' || (as === 'viewer' && adminKey === '') ? callerKey : adminKey
  }

  #failure(
    status: number,
    value: Readonly<Record<string, unknown>> | undefined,
    path: string,
    as: Role = 'admin',
  ): CommandError {
    const advice = keyAdvice(as, this.#keyFor(as), this.#access.callerKey ?? '')
    return new CommandError(this.#failureText(status, value, path, advice), { status })
  }

  #unreachableText(error: unknown): string {
    if (error instanceof Error && error.name === 'TimeoutError')
      return `The gateway at ${this.#url} did not answer within ${TIMEOUT_MS / 60_000} minutes.`
    const reason = reasonOf(error)
    return `No gateway answers at ${this.#url}${reason}. Start one with: npx bursar. If it runs elsewhere, set BURSAR_URL.`
  }

  #failureText(
    status: number,
    value: Readonly<Record<string, unknown>> | undefined,
    path: string,
    advice: string,
  ): string {
    const message = messageOf(value)
    if (status === 401) return [advice, ...(message === undefined ? [] : [message])].join('\n')
    if (message !== undefined) return message
    return `${this.#url}${path} answered ${status}, and not as Bursar does. Is BURSAR_URL the address of the gateway?`
  }
}

function isAddress(text: string): boolean {
  if (!/^https?:\/\//i.test(text) || !URL.canParse(text)) return false
  const { username, password, search, hash } = new URL(text)
  return [username, password, search, hash].every((part) => part === '')
}

/** The key itself is not shown. */
function checkKey(variable: string, key = ''): void {
  if (/[^\x21-\x7e]/.test(key))
    throw new CommandError(`${variable} has a character that no key has, such as a blank or a line break.`)
}

/** What to do about a key that the gateway does not accept. @param key the key that was sent; empty if none was */
function keyAdvice(as: Role, key: string, callerKey: string): string {
  const isCallerKey = as === 'caller' || (key !== '' && key === callerKey && as === 'viewer')
  if (isCallerKey)
    return key === ''
      ? 'The gateway needs a key that makes calls: set BURSAR_CALLER_KEY to one.'
      : 'The gateway does not accept the key in BURSAR_CALLER_KEY.'
  return key === ''
    ? 'The gateway needs its admin key: set BURSAR_ADMIN_KEY to the ADMIN_KEY that the gateway was started with.'
    : 'The gateway does not accept the key in BURSAR_ADMIN_KEY. It must be the ADMIN_KEY that the gateway was started with.'
}

/** The message of an error in our own shape, or in that of a dialect. */
function messageOf(value: Readonly<Record<string, unknown>> | undefined): string | undefined {
  const error = value?.error
  const message = isRecord(error) ? error.message : undefined
  return typeof message === 'string' ? message.slice(0, MAX_SHOWN_CHARACTERS) : undefined
}

/** ` (ECONNREFUSED)`, from the error or from what caused it: the code, or else the message of the first cause. */
function reasonOf(error: unknown): string {
  if (!isRecord(error)) return ''
  if (typeof error.code === 'string') return ` (${error.code})`
  if (error.cause !== undefined) return reasonOf(error.cause)
  return typeof error.message === 'string' ? ` (${error.message})` : ''
}
