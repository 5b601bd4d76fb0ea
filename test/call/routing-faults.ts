// Routing faults: a provider that fails in every way there is. Its own record says what each call can have cost.

import { createServer, type Server, type ServerResponse } from 'node:http'
import type { AddressInfo } from 'node:net'
import { eventsOf, type ReportedUsage, wholeAnswer } from './dialect-fixtures.ts'

/** How a call can end at a provider. `reset` and `closed` come before the answer's head. */
export const FAULTS = ['reset', 'closed', '500', '503', '429'] as const
export type Fault = (typeof FAULTS)[number]
/** Those that say something of the provider's health. */
export const HEALTH_FAULTS: readonly Fault[] = ['reset', 'closed', '500', '503']

/** May have been billed. */
const BILLED_FAULTS: ReadonlySet<Fault> = new Set(['reset', 'closed', '500'])

/** One request as a provider had it: what it was answered, or how it failed. */
export interface ServedCall {
  readonly call: number
  readonly stream: boolean
  readonly usage: ReportedUsage | undefined
  readonly billed: boolean
}

/** Says how the next call fails; undefined is an answer. */
export type FaultSource = () => Fault | undefined

/** A provider of the openai dialect, that can also be away. Calls say which they are: `call 17`. */
export class FaultyProvider {
  readonly served: ServedCall[] = []
  nextFault: FaultSource = () => undefined
  readonly #server: Server
  #port = 0

  private constructor() {
    this.#server = createServer({ keepAliveTimeout: 60_000 }, (request, response) => {
      let body = ''
      request.setEncoding('utf8').on('data', (chunk: string) => {
        body += chunk
      })
      request.on('error', () => {})
      response.on('error', () => {})
      request.on('end', () => this.#serve(body, response))
    })
  }

  static async open(): Promise<FaultyProvider> {
    const provider = new FaultyProvider()
    await provider.startListening()
    return provider
  }

  get url(): string {
    return `http://127.0.0.1:${this.#port}`
  }

  /** Connections are refused from now on. */
  async stopListening(): Promise<void> {
    this.#server.closeAllConnections()
    await new Promise((resolve) => this.#server.close(resolve))
  }

  async startListening(): Promise<void> {
    await new Promise<void>((resolve, reject) => {
      this.#server.once('error', reject)
      this.#server.listen(this.#port, '127.0.0.1', resolve)
    })
    this.#port = (this.#server.address() as AddressInfo).port
  }

  #serve(body: string, response: ServerResponse): void {
    const call = Number(/call (\d+)/.exec(body)?.[1])
    const stream = body.includes('"stream":true')
    const fault = this.nextFault()
    if (fault !== undefined) {
      this.served.push({ call, stream, usage: undefined, billed: BILLED_FAULTS.has(fault) })
      fail(response, fault)
      return
    }
    const usage = { input: 10 + (call % 7), output: 1 + (call % 11) }
    this.served.push({ call, stream, usage, billed: true })
    const type = stream ? 'text/event-stream' : 'application/json'
    response.writeHead(200, { 'content-type': type })
    response.end(stream ? eventsOf('openai', usage).join('') : wholeAnswer('openai', usage))
  }
}

function fail(response: ServerResponse, fault: Fault): void {
  if (fault === 'reset') response.socket?.resetAndDestroy()
  else if (fault === 'closed') response.destroy()
  else {
    const error = { message: `fault ${fault}`, type: 'server_error', code: null, param: null }
    response.writeHead(Number(fault), { 'content-type': 'application/json' }).end(JSON.stringify({ error }))
  }
}
