// SDK call: one request through an official SDK, whose answer reaches the listener like that of a forwarded request.

import type { HeaderList } from '../../wire/dialect.ts'
import type { AnswerListener } from '../provider.ts'
import { PausableRequest } from './pausable-request.ts'

/** The answer that an SDK received: its head, and its body as it comes. */
export interface SdkAnswer {
  readonly status: number
  readonly headers: HeaderList
  readonly body: AsyncIterable<Uint8Array>
}

/** The answer behind an error that an SDK threw. */
export interface SdkError {
  readonly status: number
  readonly headers: HeaderList
  /** The part of the answer that the SDK kept. */
  readonly body: string
}

/** A request that an SDK can send. */
export interface SdkRequest {
  /** Sends it. Calls `started` when the provider may have read the request. Rejects with the SDK's own errors. */
  send(signal: AbortSignal, started: () => void): Promise<SdkAnswer>
  /** The answer behind an error. Undefined if no answer came, or if it broke off. */
  errorAnswerIn(error: unknown): SdkError | undefined
}

/** A request under way. It starts when it is constructed. */
export class SdkCall extends PausableRequest {
  readonly #listener: AnswerListener

  constructor(request: SdkRequest, listener: AnswerListener) {
    super()
    this.#listener = listener
    this.#run(request).catch((error: unknown) => listener.failed(causeOf(error)))
  }

  async #run(request: SdkRequest): Promise<void> {
    const listener = this.#listener
    let answer: SdkAnswer
    try {
      answer = await request.send(this.signal, () => listener.started())
    } catch (error) {
      const refused = request.errorAnswerIn(error)
      if (!refused) throw error
      listener.head(refused.status, refused.headers)
      listener.data(Buffer.from(refused.body))
      listener.end()
      return
    }
    listener.head(answer.status, answer.headers)
    for await (const chunk of answer.body) {
      listener.data(Buffer.from(chunk.buffer, chunk.byteOffset, chunk.byteLength))
      if (this.paused) await this.paused
    }
    listener.end()
  }
}

/** SDKs wrap the error that the transport raised. */
function causeOf(error: unknown): Error {
  let inner = error instanceof Error ? error : new Error(String(error))
  for (let depth = 0; depth < 5 && inner.cause instanceof Error; depth++) inner = inner.cause
  return inner
}

/** The answer in a web Response, as an SDK hands it out unread. */
export function sdkAnswerOf(response: Response): SdkAnswer {
  return { status: response.status, headers: [...response.headers].flat(), body: response.body ?? emptyBody() }
}

async function* emptyBody(): AsyncGenerator<Uint8Array> {}
