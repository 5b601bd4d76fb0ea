// What the pretend provider says: one text, whole and as a stream, as ready-made bytes in each dialect.

/** Streams are one buffer per socket write; the head travels with the first chunk. */
export type Answers = {
  readonly whole: Buffer
  readonly stream: readonly Buffer[]
  /** As asked for with `include_usage`, in dialects that have to be asked. */
  readonly streamWithUsage: readonly Buffer[]
}

/** The same number in every dialect; what begins and ends a stream comes on top. */
const WORDS_PER_STREAM = 98
/** The content of each chunk of a stream. */
export const WORD = ' purse'
const TEXT = 'A bursar keeps the purse: nothing is spent before it is set aside. '.repeat(9).slice(0, 520)

const OPENAI_USAGE =
  '{"prompt_tokens":25,"completion_tokens":100,"total_tokens":125,"prompt_tokens_details":{"cached_tokens":0,"audio_tokens":0},"completion_tokens_details":{"reasoning_tokens":0,"audio_tokens":0,"accepted_prediction_tokens":0,"rejected_prediction_tokens":0}}'
const ANTHROPIC_MESSAGE = '"id":"msg_bench","type":"message","role":"assistant","model":"claude-sonnet-4-5-20250929"'
const ANTHROPIC_INPUT =
  '"input_tokens":25,"cache_creation_input_tokens":0,"cache_read_input_tokens":0,"cache_creation":{"ephemeral_5m_input_tokens":0,"ephemeral_1h_input_tokens":0}'
const GEMINI_FRAME =
  '"usageMetadata":{"promptTokenCount":25,"candidatesTokenCount":100,"totalTokenCount":125,"promptTokensDetails":[{"modality":"TEXT","tokenCount":25}]},"modelVersion":"gemini-2.5-flash","responseId":"bench"'

function wholeResponse(body: string): Buffer {
  return Buffer.from(
    `HTTP/1.1 200 OK\r\ncontent-type: application/json\r\nx-request-id: req_bench\r\ncontent-length: ${Buffer.byteLength(body)}\r\n\r\n${body}`,
  )
}

/** @param last is written together with the end of the body */
function streamChunks(events: readonly string[], last = ''): Buffer[] {
  const frame = (text: string) => `${Buffer.byteLength(text).toString(16)}\r\n${text}\r\n`
  const framed = events.map(frame)
  framed[0] = `HTTP/1.1 200 OK\r\ncontent-type: text/event-stream; charset=utf-8\r\nx-request-id: req_bench\r\ntransfer-encoding: chunked\r\n\r\n${framed[0]}`
  framed.push(`${last === '' ? '' : frame(last)}0\r\n\r\n`)
  return framed.map((text) => Buffer.from(text))
}

const repeatPerWord = (event: string) => Array.from({ length: WORDS_PER_STREAM }, () => event)

function openaiStream(withUsage: boolean): Buffer[] {
  const event = (choices: string, usage: string) =>
    `data: {"id":"chatcmpl-bench","object":"chat.completion.chunk","created":1763856000,"model":"gpt-4o","service_tier":"default","system_fingerprint":"fp_bench","choices":[${choices}]${withUsage ? `,"usage":${usage}` : ''}}\n\n`
  const choice = (delta: string, finish: string) =>
    event(`{"index":0,"delta":${delta},"logprobs":null,"finish_reason":${finish}}`, 'null')
  return streamChunks(
    [
      choice('{"role":"assistant","content":"","refusal":null}', 'null'),
      ...repeatPerWord(choice(`{"content":"${WORD}"}`, 'null')),
      choice('{}', '"stop"'),
      ...(withUsage ? [event('', OPENAI_USAGE)] : []),
    ],
    'data: [DONE]\n\n',
  )
}

const EMPTY = Buffer.alloc(0)
/** Ticks without a chunk: a model that thinks for about 50 ms. */
const PAUSE_TICKS = 25

/** A stream of Anthropic's that begins with a preamble of two events, and has its content later. */
function preambleStream(): Buffer[] {
  const [start = EMPTY, ...rest] = anthropicStream()
  const ping = 'event: ping\ndata: {"type": "ping"}\n\n'
  const framed = Buffer.from(`${ping.length.toString(16)}\r\n${ping}\r\n`)
  return [start, framed, ...Array.from({ length: PAUSE_TICKS }, () => EMPTY), ...rest]
}

function anthropicStream(): Buffer[] {
  const event = (type: string, fields: string) => `event: ${type}\ndata: {"type":"${type}"${fields}}\n\n`
  return streamChunks(
    [
      event(
        'message_start',
        `,"message":{${ANTHROPIC_MESSAGE},"content":[],"stop_reason":null,"stop_sequence":null,"usage":{${ANTHROPIC_INPUT},"output_tokens":1}}`,
      ),
      event('content_block_start', ',"index":0,"content_block":{"type":"text","text":""}'),
      ...repeatPerWord(event('content_block_delta', `,"index":0,"delta":{"type":"text_delta","text":"${WORD}"}`)),
      event('content_block_stop', ',"index":0'),
      event(
        'message_delta',
        ',"delta":{"stop_reason":"end_turn","stop_sequence":null},"usage":{"input_tokens":25,"cache_creation_input_tokens":0,"cache_read_input_tokens":0,"output_tokens":100}',
      ),
    ],
    event('message_stop', ''),
  )
}

function geminiStream(): Buffer[] {
  const event = (text: string, finish: string) =>
    `data: {"candidates":[{"content":{"parts":[{"text":"${text}"}],"role":"model"}${finish},"index":0}],${GEMINI_FRAME}}\r\n\r\n`
  return streamChunks([...repeatPerWord(event(WORD, '')), event('', ',"finishReason":"STOP"')])
}

export const PREAMBLE_STREAM: readonly Buffer[] = preambleStream()

export const ANSWERS: Readonly<Record<'openai' | 'anthropic' | 'gemini', Answers>> = {
  openai: {
    whole: wholeResponse(
      `{"id":"chatcmpl-bench","object":"chat.completion","created":1763856000,"model":"gpt-4o","choices":[{"index":0,"message":{"role":"assistant","content":"${TEXT}","refusal":null,"annotations":[]},"logprobs":null,"finish_reason":"stop"}],"usage":${OPENAI_USAGE},"service_tier":"default","system_fingerprint":"fp_bench"}`,
    ),
    stream: openaiStream(false),
    streamWithUsage: openaiStream(true),
  },
  anthropic: {
    whole: wholeResponse(
      `{${ANTHROPIC_MESSAGE},"content":[{"type":"text","text":"${TEXT}"}],"stop_reason":"end_turn","stop_sequence":null,"usage":{${ANTHROPIC_INPUT},"output_tokens":100,"service_tier":"standard"}}`,
    ),
    stream: anthropicStream(),
    streamWithUsage: anthropicStream(),
  },
  gemini: {
    whole: wholeResponse(
      `{"candidates":[{"content":{"parts":[{"text":"${TEXT}"}],"role":"model"},"finishReason":"STOP","index":0}],${GEMINI_FRAME}}`,
    ),
    stream: geminiStream(),
    streamWithUsage: geminiStream(),
  },
}
