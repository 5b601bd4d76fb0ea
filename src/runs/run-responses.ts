// Run responses: the server-sent events of a run, and the error of a run that has nothing to give back.

import { ModelRequestError } from './model-client.ts'
import type { PatternRun } from './run.ts'
import { stepJson } from './run-answer.ts'

/**
 * The events of a run: each step once it is done, then the whole answer or the error. A run that fails before its first call
 * is answered with a plain error, as a run without events is.
 */
export async function streamResponse(run: PatternRun): Promise<Response> {
  const response = Promise.withResolvers<Response>()
  const events = new RunEvents(run)
  const begin = () => response.resolve(events.response)
  run
    .follow((step) => {
      events.send('step', stepJson(step))
      if (run.usage.requests > 0) begin()
    })
    .then((answer) => {
      events.send('result', answer)
      begin()
    })
    .catch(async (error: unknown) => {
      const refused = errorResponse(run, error)
      if (run.usage.requests > 0) events.send('error', await refused.clone().json())
      response.resolve(refused)
    })
    .finally(() => events.end())
    .catch(response.reject)
  return response.promise
}

/** Writes server-sent events. They are few and small, so they wait in memory for a client that reads slowly. */
class RunEvents {
  readonly response: Response
  readonly #encoder = new TextEncoder()
  #sink: ReadableStreamDefaultController<Uint8Array> | undefined

  constructor(run: PatternRun) {
    const body = new ReadableStream<Uint8Array>({
      start: (sink) => {
        this.#sink = sink
      },
      cancel: () => {
        this.#sink = undefined
        run.cancel()
      },
    })
    const headers = { 'content-type': 'text/event-stream', 'cache-control': 'no-store', 'x-bursar-task': run.id }
    this.response = new Response(body, { headers })
  }

  send(event: string, data: object): void {
    this.#sink?.enqueue(this.#encoder.encode(`event: ${event}\ndata: ${JSON.stringify(data)}\n\n`))
  }

  end(): void {
    this.#sink?.close()
    this.#sink = undefined
  }
}

const STATUS_BY_REASON = { budget: 429, rate: 429, steps: 400, deadline: 504, left: 499, error: 502 } as const
/** Headers of the call that failed which are also true of the run. */
const FORWARDED_HEADERS = ['retry-after', 'retry-after-ms', 'x-should-retry', 'x-bursar-limited-by', 'x-bursar-call-id']

/** The answer to a run that ended with `error` and has nothing to give back: that of the call that failed, if one did. */
export function errorResponse(run: PatternRun, error: unknown): Response {
  const stopped = run.stopOf(error)
  const failed = stopped instanceof ModelRequestError ? stopped : undefined
  const headers = new Headers({ 'x-bursar-task': run.id })
  headers.set('x-bursar-source', failed?.headers.get('x-bursar-source') ?? 'gateway')
  for (const name of FORWARDED_HEADERS) {
    const value = failed?.headers.get(name)
    if (value !== undefined) headers.set(name, value)
  }
  const { code, param, details } = failed?.error ?? {}
  const body = {
    code: typeof code === 'string' ? code : stopped.reason,
    message: stopped.message,
    // The other fields of the call's request are not fields of the run's.
    param: param === 'model' ? param : null,
    stopped: stopped.reason,
    task: run.id,
    details,
  }
  return Response.json({ error: body }, { status: failed?.status ?? STATUS_BY_REASON[stopped.reason], headers })
}
