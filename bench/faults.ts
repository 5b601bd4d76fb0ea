// What the pretend provider does wrong when a request asks for it: the bytes, and their order. What it does with them is upstream.ts's.

/** Names the part of the load a request belongs to; where that is a fault's name, the answer is that fault. */
export const PART_HEADER = 'x-bench-part'

/**
 * `cut` breaks a stream off, `stall` falls silent within one, `reset` ends the connection before the head, `hang` never
 * answers, `garbage` is an answer that nobody can read.
 */
export const FAULTS = ['error 500', 'cut', 'stall', 'reset', 'hang', 'garbage', 'garbage stream'] as const
export type Fault = (typeof FAULTS)[number]

export const isFault = (name: string): name is Fault => FAULTS.some((fault) => fault === name)

function responseBytes(status: string, type: string, body: string): Buffer {
  const head = `HTTP/1.1 ${status}\r\ncontent-type: ${type}\r\ncontent-length: ${Buffer.byteLength(body, 'latin1')}\r\n\r\n`
  return Buffer.from(head + body, 'latin1')
}

export const ERROR = responseBytes(
  '500 Internal Server Error',
  'application/json',
  '{"error":{"message":"The server had an error while processing your request.","type":"server_error","param":null,"code":null}}',
)

const CONTRADICTION =
  '{"id":"chatcmpl-bench","object":"chat.completion","model":7,"choices":[{"index":0,"message":{"role":"assistant","content":null}}],"usage":{"prompt_tokens":-5,"completion_tokens":2.5,"total_tokens":"many","prompt_tokens_details":{"cached_tokens":90}}}'

/** Not HTTP at all; half a body; usage that contradicts itself; an event that is not JSON; a line that does not end; bytes. */
export const GARBAGE: readonly Buffer[] = [
  Buffer.from('\u0000\u0001 this is no answer\r\n\r\n'),
  responseBytes('200 OK', 'application/json', '{"id":"chatcmpl-bench","choices":[{"mess'),
  responseBytes('200 OK', 'application/json', CONTRADICTION),
  responseBytes('200 OK', 'text/event-stream', 'data: {"choices":[{"delta":\n\ndata: nothing\n\nevent\n\n: \n\n'),
  responseBytes('200 OK', 'text/event-stream', `data: ${'x'.repeat(200_000)}`),
  responseBytes('200 OK', 'text/event-stream; charset=utf-8', '\u00ff\u00fe\u0000'.repeat(1_000)),
]
