// SDK call: one request made through an official SDK, told to a listener like those that are forwarded.

import type { HeaderList } from '../../wire/dialect.ts'
import type { AnswerListener } from '../provider.ts'
import { PausableRequest } from './pausable-request.ts'

/** What an SDK answered: its head, and its body as it comes. */
export interface SdkAnswer {
  readonly status: number
  readonly headers: HeaderList
  readonly body: AsyncIterable<Uint8Array>
}

/** An error that an SDK made of an error answer. */
export interface SdkError {
  readonly status: number
  readonly headers: HeaderList
  /** Its body, as far as the SDK kept it. */
  readonly body: string
}

export interface SdkRequest {
  /** Asks; `started` is to be called when the request may have been read. Rejects with the SDK's own errors. */
  send(signal: AbortSignal, started: () => void): Promise<SdkAnswer>
  /** Undefined for an error that is no answer: nothing came, or it broke. */
  errorAnswerIn(error: unknown): SdkError | undefined
}

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

/** SDKs wrap what really happened. */
function causeOf(error: unknown): Error {
  let inner = error instanceof Error ? error : new Error(String(error))
  for (let depth = 0; depth < 5 && inner.cause instanceof Error; depth++) inner = inner.cause
  return inner
}

/** A web answer as an SDK hands it out raw. */
export function sdkAnswerOf(response: Response): SdkAnswer {
  return { status: response.status, headers: [...response.headers].flat(), body: response.body ?? emptyBody() }
}

async function* emptyBody(): AsyncGenerator<Uint8Array> {}
