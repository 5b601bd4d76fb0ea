// The pretend provider: answers every call with canned bytes of the dialect its path belongs to, over a raw socket, and never
// reads more of a request than its length, path, two flags and the part of the load it belongs to, so that it is never the
// bottleneck.
// `GET /received` answers how many calls it has read to their end, by that part, whatever became of them.
//
// PORT      where to listen
// TICK_MS   streams: every open stream gets one chunk per tick; 0 = as fast as the event loop turns (default 2)
// DELAY_MS  wait this long before answering (default 0)
import { createServer, type Socket } from 'node:net'
import { ANSWERS, type Answers, PREAMBLE_STREAM } from './answers.ts'
import { PREAMBLE_MODEL } from './bodies.ts'
import { ERROR, type Fault, GARBAGE, isFault, PART_HEADER } from './faults.ts'

const port = Number(process.env.PORT ?? 0)
const tickMs = Number(process.env.TICK_MS ?? 2)
const delayMs = Number(process.env.DELAY_MS ?? 0)

/** After which a stream that is to break does. */
const CHUNKS_BEFORE_FAULT = 40

const HEALTH = Buffer.from('HTTP/1.1 200 OK\r\ncontent-type: text/plain\r\ncontent-length: 2\r\n\r\nok')
/** `after` is done once all chunks are written. */
type Stream = { socket: Socket; chunks: readonly Buffer[]; next: number; after?: (socket: Socket) => void }
const streams = new Set<Stream>()
let ticking = false

function advance(): void {
  for (const stream of streams) {
    const chunk = stream.socket.destroyed ? undefined : stream.chunks[stream.next++]
    if (chunk) stream.socket.write(chunk)
    if (chunk && stream.next < stream.chunks.length) continue
    streams.delete(stream)
    stream.after?.(stream.socket)
  }
  ticking = streams.size > 0
  if (ticking) schedule()
}

function schedule(): void {
  ticking = true
  if (tickMs === 0) setImmediate(advance)
  else setTimeout(advance, tickMs)
}

function startStream(stream: Stream): void {
  streams.add(stream)
  if (!ticking) schedule()
}

const streamThenFail = (socket: Socket, after: (socket: Socket) => void) =>
  startStream({ socket, chunks: ANSWERS.openai.stream.slice(0, CHUNKS_BEFORE_FAULT), next: 0, after })

let garbageCount = 0
const garbage = (socket: Socket) => socket.write(GARBAGE[garbageCount++ % GARBAGE.length] ?? ERROR)

const FAULT_HANDLERS: Readonly<Record<Fault, (socket: Socket) => void>> = {
  'error 500': (socket) => socket.write(ERROR),
  cut: (socket) => streamThenFail(socket, () => socket.destroy()),
  stall: (socket) => streamThenFail(socket, () => {}),
  reset: (socket) => socket.resetAndDestroy(),
  hang: () => {},
  garbage,
  'garbage stream': garbage,
}

/** Calls read to their end, by the part of the load they belong to; '' is none. */
const received = new Map<string, number>()
const PART = `\r\n${PART_HEADER}: `
/** No head is longer here. */
const HEAD_BYTES = 2048

function partOf(request: Buffer): string {
  const head = request.subarray(0, HEAD_BYTES)
  const at = head.indexOf(PART)
  return at < 0 ? '' : head.toString('latin1', at + PART.length, head.indexOf('\r', at + PART.length))
}

function receivedCounts(): string {
  const body = JSON.stringify(Object.fromEntries(received))
  return `HTTP/1.1 200 OK\r\ncontent-type: application/json\r\ncontent-length: ${body.length}\r\n\r\n${body}`
}

/** The whole path of a Gemini call names its model; this much says whose it is, and whether it is a stream. */
const PATH_BYTES = 128

function answersFor(line: string): { answers: Answers; streams: boolean } {
  if (line.startsWith('POST /v1/messages')) return { answers: ANSWERS.anthropic, streams: false }
  if (line.startsWith('POST /v1beta/'))
    return { answers: ANSWERS.gemini, streams: line.includes(':streamGenerateContent') }
  return { answers: ANSWERS.openai, streams: false }
}

function answer(socket: Socket, request: Buffer): void {
  if (request[0] !== 0x50 /* P of POST */) {
    socket.write(request.toString('latin1', 0, 14) === 'GET /received ' ? receivedCounts() : HEALTH)
    return
  }
  const part = partOf(request)
  received.set(part, (received.get(part) ?? 0) + 1)
  const { answers, streams } = answersFor(request.toString('latin1', 0, PATH_BYTES))
  if (isFault(part)) FAULT_HANDLERS[part](socket)
  else if (!streams && !request.includes('"stream":true')) socket.write(answers.whole)
  else if (request.includes(PREAMBLE_MODEL)) startStream({ socket, chunks: PREAMBLE_STREAM, next: 0 })
  else if (request.includes('"include_usage":true')) startStream({ socket, chunks: answers.streamWithUsage, next: 0 })
  else startStream({ socket, chunks: answers.stream, next: 0 })
}

/** Bytes a request needs in total, or 'chunked'; undefined while its head is not complete. */
function sizeOf(start: Buffer): number | 'chunked' | undefined {
  const end = start.indexOf('\r\n\r\n')
  if (end < 0) return undefined
  const head = start.toString('latin1', 0, end + 2)
  if (/\r\ntransfer-encoding: *chunked/i.test(head)) return 'chunked'
  return end + 4 + Number(/\r\ncontent-length: *(\d+)/i.exec(head)?.[1] ?? 0)
}

/** Requests are never pipelined here: whatever arrives belongs to one request until that one is whole. */
function serve(socket: Socket): void {
  let pieces: Buffer[] = []
  let received = 0
  let size: number | 'chunked' | undefined
  socket.on('error', () => socket.destroy())
  socket.on('data', (piece: Buffer) => {
    pieces.push(piece)
    received += piece.length
    size ??= sizeOf(pieces.length === 1 ? piece : Buffer.concat(pieces))
    if (size === undefined || (size !== 'chunked' && received < size)) return
    const request = pieces.length === 1 ? piece : Buffer.concat(pieces)
    if (size === 'chunked' && !request.subarray(-5).equals(Buffer.from('0\r\n\r\n'))) return
    pieces = []
    received = 0
    size = undefined
    if (delayMs > 0) setTimeout(answer, delayMs, socket, request)
    else answer(socket, request)
  })
}

createServer({ noDelay: true }, serve).listen(port, '127.0.0.1', () => console.log(JSON.stringify({ listening: port })))
