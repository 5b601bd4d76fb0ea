// The baseline: the fastest honest proxy we found on bare `node:http` and `undici`. It parses nothing and decides nothing.
// Frozen: every ratio the benchmark prints is against this file, so a change here would move all targets without a word.
// (Measured against it: `pool.request` + pipe, `pool.stream`, and bodies always streamed or always buffered. None was faster.)
import { createServer, type IncomingMessage, type ServerResponse } from 'node:http'
import { type Dispatcher, Pool } from 'undici'

const port = Number(process.env.PORT ?? process.argv[2])
const pool = new Pool(process.env.UPSTREAM ?? process.argv[3] ?? '', { allowH2: false })
const HOP_BY_HOP = /^(?:host|connection|keep-alive|transfer-encoding|te|trailer|upgrade|expect)$/i

function endToEnd(raw: readonly (string | Buffer)[]): string[] {
  const kept: string[] = []
  for (let at = 0; at < raw.length; at += 2) {
    const name = String(raw[at])
    if (!HOP_BY_HOP.test(name)) kept.push(name, String(raw[at + 1]))
  }
  return kept
}

class Handler implements Dispatcher.DispatchHandler {
  readonly #response: ServerResponse
  constructor(response: ServerResponse) {
    this.#response = response
  }
  onRequestStart(controller: Dispatcher.DispatchController): void {
    this.#response.on('close', () => this.#response.writableFinished || controller.abort(new Error('client left')))
  }
  onResponseStart(controller: Dispatcher.DispatchController, status: number): void {
    this.#response.writeHead(status, endToEnd((controller.rawHeaders ?? []) as Buffer[]))
  }
  onResponseData(controller: Dispatcher.DispatchController, chunk: Buffer): void {
    if (this.#response.write(chunk)) return
    controller.pause()
    this.#response.once('drain', () => controller.resume())
  }
  onResponseEnd(): void {
    this.#response.end()
  }
  onResponseError(): void {
    if (this.#response.headersSent) this.#response.destroy()
    else this.#response.writeHead(502).end()
  }
}

function forward(request: IncomingMessage, response: ServerResponse, body: Buffer | IncomingMessage | null): void {
  const { url = '/', method, rawHeaders } = request
  const options = { path: url, method: method as Dispatcher.HttpMethod, headers: endToEnd(rawHeaders), body }
  pool.dispatch(options, new Handler(response))
}

/** A body that arrived whole in one read leaves in one write; any other is streamed. */
createServer((request, response) => {
  const { 'content-length': length, 'transfer-encoding': coding } = request.headers
  if (!coding && !Number(length)) return forward(request, response, null)
  request.once('data', (first: Buffer) => {
    if (first.length === Number(length)) return forward(request, response, first)
    request.pause().unshift(first)
    forward(request, response, request)
  })
}).listen(port, '127.0.0.1', () => console.log(JSON.stringify({ msg: 'listening', port })))
