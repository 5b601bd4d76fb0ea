// Streams: answers in every framing that providers were seen to use, what each says it used, and how to feed one to a tap.

import { setFlagsFromString } from 'node:v8'
import { runInNewContext } from 'node:vm'
import type { UnitsByClass } from '../../src/core/usage.ts'
import type { Tap } from '../../src/wire/dialect.ts'
import { usedUnits } from '../support/usage-units.ts'

export interface Stream {
  readonly name: string
  readonly text: string
  /** Classes that are not zero, `requests` aside. Null where the stream does not say. */
  readonly usage: UnitsByClass | null
  /** finished, terminated, failed. */
  readonly ends: readonly [boolean, boolean, boolean]
  /** What is left out where usage is hidden. */
  readonly hidden?: string
}

const head = '"id":"c","object":"chat.completion.chunk","model":"gpt-4o"'
const chat = (choices: string, rest = '') => `data: {${head},"choices":${choices}${rest}}\n\n`
const says = (words: string) => `[{"index":0,"delta":{"content":${JSON.stringify(words)}},"finish_reason":null}]`
const STOP = '[{"index":0,"delta":{},"finish_reason":"stop"}]'
const DONE = 'data: [DONE]\n\n'
const counts = (prompt: number, completion: number) =>
  `,"usage":{"prompt_tokens":${prompt},"completion_tokens":${completion},"total_tokens":${prompt + completion}}`
const USAGE = chat('[]', counts(9, 4))
const PLAIN = `${chat(says('Hé'), ',"usage":null')}${chat(says(' — 你好😀'), ',"usage":null')}${chat(STOP, ',"usage":null')}${USAGE}${DONE}`
const WORDS =
  'the "usage":{"prompt_tokens":999} is\n\ndata: {"usage":{"prompt_tokens":998},"choices":[]}\n\ndata: [DONE]\n\n'
const ARGUMENTS = JSON.stringify({ usage: { prompt_tokens: 997 }, finish_reason: 'stop', error: { code: 1 } })
const FAILURE = 'event: error\ndata: {"error":{"message":"bad","status_code":400}}\n\n'

export const CHAT_STREAMS: readonly Stream[] = [
  { name: 'LF', text: PLAIN, usage: { input: 9, output: 4 }, ends: [true, true, false], hidden: USAGE },
  {
    name: 'CRLF',
    text: PLAIN.replaceAll('\n', '\r\n'),
    usage: { input: 9, output: 4 },
    ends: [true, true, false],
    hidden: USAGE.replaceAll('\n', '\r\n'),
  },
  {
    name: 'comments, event names, ids, and blank lines to spare',
    text: `: PROCESSING\n\n: PROCESSING\n\n\n\nid: 7\nevent: message\n${chat(says('a'))}retry: 5\n\n${chat(STOP)}: bye\n${USAGE}\n\n${DONE}`,
    usage: { input: 9, output: 4 },
    ends: [true, true, false],
    hidden: `: bye\n${USAGE}`,
  },
  {
    name: 'no space after the colon, one before the brace',
    text: PLAIN.replaceAll('data: ', 'data:').replace('data:{', 'data:\t {'),
    usage: { input: 9, output: 4 },
    ends: [true, true, false],
    hidden: USAGE.replace('data: ', 'data:'),
  },
  {
    name: "Azure's first chunk without choices",
    text: `data: {"choices":[],"prompt_filter_results":[{}],"model":"","usage":null}\n\n${PLAIN}`,
    usage: { input: 9, output: 4 },
    ends: [true, true, false],
    hidden: USAGE,
  },
  {
    name: 'usage in the last content chunk',
    text: `${chat(says('a'))}${chat(STOP, counts(9, 4))}${DONE}`,
    usage: { input: 9, output: 4 },
    ends: [true, true, false],
  },
  {
    name: 'usage in every chunk, as running totals',
    text: `${chat(says('a'), counts(9, 1))}${chat(says('b'), counts(9, 2))}${chat(STOP, counts(9, 4))}${DONE}`,
    usage: { input: 9, output: 4 },
    ends: [true, true, false],
  },
  {
    name: 'usage twice, once inside another member',
    text: `${chat(STOP, ',"x_groq":{"id":"r","usage":{"prompt_tokens":9,"completion_tokens":4}}')}${chat(STOP, counts(9, 4))}${USAGE}${DONE}`,
    usage: { input: 9, output: 4 },
    ends: [true, true, false],
    hidden: USAGE,
  },
  {
    name: 'no [DONE]',
    text: `${chat(says('a'))}${chat(STOP)}${USAGE}`,
    usage: { input: 9, output: 4 },
    ends: [true, false, false],
    hidden: USAGE,
  },
  {
    name: 'no line feed at the end',
    text: `${chat(STOP)}${USAGE}`.trimEnd(),
    usage: { input: 9, output: 4 },
    ends: [true, false, false],
    hidden: USAGE.trimEnd(),
  },
  { name: 'no usage', text: `${chat(says('a'))}${chat(STOP)}${DONE}`, usage: null, ends: [true, true, false] },
  { name: 'usage of null alone', text: `${chat(STOP, ',"usage" : null')}`, usage: null, ends: [true, false, false] },
  { name: 'a cut in the middle', text: PLAIN.slice(0, PLAIN.indexOf('你')), usage: null, ends: [false, false, false] },
  { name: 'an error event', text: `${chat(says('a'))}${FAILURE}`, usage: null, ends: [false, false, true] },
  {
    name: 'words and tool arguments that look like all of it',
    text: `${chat(says(WORDS))}${chat(`[{"index":0,"delta":{"tool_calls":[{"function":{"arguments":${JSON.stringify(ARGUMENTS)}}}]},"finish_reason":null}]`)}`,
    usage: null,
    ends: [false, false, false],
  },
  {
    name: 'usage, errors and reasons below the top level',
    text: chat('[{"delta":{"usage":{"prompt_tokens":996},"finish_reason":"stop","error":{}},"finish_reason":null}]'),
    usage: null,
    ends: [false, false, false],
  },
  { name: 'nothing', text: '', usage: null, ends: [false, false, false] },
]

const event = (type: string, rest: string) => `event: ${type}\ndata: {"type":"${type}"${rest}}   \n\n`
const START = event(
  'message_start',
  ',"message":{"model":"claude-sonnet-5","content":[],"usage":{"input_tokens":7,"cache_creation_input_tokens":30,"cache_read_input_tokens":5,"cache_creation":{"ephemeral_5m_input_tokens":20,"ephemeral_1h_input_tokens":10},"output_tokens":2}}',
)
const delta = (usage: string) => event('message_delta', `,"delta":{"stop_reason":"end_turn"},"usage":{${usage}}`)
const block = (words: string) =>
  event('content_block_delta', `,"index":0,"delta":{"type":"text_delta","text":${JSON.stringify(words)}}`)
const PING = event('ping', '')
const END = event('message_stop', '')
const CACHED = { cacheRead: 5, cacheWrite5m: 20, cacheWrite1h: 10 }

export const MESSAGE_STREAMS: readonly Stream[] = [
  {
    name: 'pings, and a delta that counts output alone',
    text: `${START}${PING}${block('Hé')}${PING}${delta('"output_tokens":40')}${END}`,
    usage: { input: 7, ...CACHED, output: 40 },
    ends: [true, true, false],
  },
  {
    name: 'a delta with other input than the start, and nulls for what it leaves',
    text: `${START}${delta('"input_tokens":90,"cache_read_input_tokens":null,"output_tokens":40')}${END}`,
    usage: { input: 90, ...CACHED, output: 40 },
    ends: [true, true, false],
  },
  {
    name: 'several deltas, which never add up',
    text: `${START}${delta('"output_tokens":10')}${delta('"output_tokens":40')}${END}`.replaceAll('\n', '\r\n'),
    usage: { input: 7, ...CACHED, output: 40 },
    ends: [true, true, false],
  },
  {
    name: 'an error in the middle',
    text: `${START}${block('a')}${event('error', ',"error":{"type":"overloaded_error","message":"x"}')}`,
    usage: { input: 7, ...CACHED, output: 2 },
    ends: [false, false, true],
  },
  {
    name: 'words that look like all of it',
    text: `${START}${block(`${END}${delta('"output_tokens":999')}{"type":"message_stop"} {"type":"error","error":{}}`)}`,
    usage: { input: 7, ...CACHED, output: 2 },
    ends: [false, false, false],
  },
]

const chunkOf = (words: string, rest: string) =>
  `{"candidates": [{"content": {"parts": [{"text": ${JSON.stringify(words)}}],"role": "model"}${rest}`
const metadata = (figures: string) => `,"usageMetadata": {${figures}},"modelVersion": "gemini-2.5-flash"}`
const FIRST = `${chunkOf('Hé', '}]')}${metadata('"promptTokenCount": 8,"totalTokenCount": 8')}`
const SECOND = `${chunkOf('"usageMetadata": {"promptTokenCount": 999} ]}, {"error":{}}', '}]')}${metadata('"promptTokenCount": 8,"candidatesTokenCount": 3,"totalTokenCount": 11')}`
const LAST = `${chunkOf('.\\"', ',"finishReason": "STOP"}]')}${metadata('"promptTokenCount": 8,"candidatesTokenCount": 5,"thoughtsTokenCount": 20,"cachedContentTokenCount": 3,"totalTokenCount": 33')}`
const TOTAL = { input: 5, cacheRead: 3, output: 25 }
const BLOCKED = '{"promptFeedback":{"blockReason":"SAFETY"},"usageMetadata":{"promptTokenCount":8,"totalTokenCount":8}}'
const UNAVAILABLE = '{"error":{"code":503,"message":"x","status":"UNAVAILABLE"}}'
const ANSWERS: readonly (Omit<Stream, 'text'> & { readonly parts: readonly string[] })[] = [
  {
    name: 'running totals, of which the last counts',
    parts: [FIRST, SECOND, LAST],
    usage: TOTAL,
    ends: [true, false, false],
  },
  { name: 'a cut before the end', parts: [FIRST, SECOND], usage: { input: 8, output: 3 }, ends: [false, false, false] },
  { name: 'a prompt that is blocked', parts: [BLOCKED], usage: { input: 8 }, ends: [true, false, false] },
  { name: 'an error in the middle', parts: [FIRST, UNAVAILABLE], usage: { input: 8 }, ends: [false, false, true] },
  { name: 'no figures', parts: ['{"usageMetadata": {}}'], usage: null, ends: [false, false, false] },
]

/** The same answers in both framings of streamGenerateContent. */
export const GEMINI_STREAMS: readonly Stream[] = ANSWERS.map(({ parts, ...rest }) => ({
  ...rest,
  text: parts.map((part) => `data: ${part}\r\n\r\n`).join(''),
}))
export const GEMINI_ARRAYS: readonly Stream[] = ANSWERS.map(({ parts, ...rest }) => ({
  ...rest,
  text: `[${parts.join('\n,\r\n')}\n]`,
}))

export interface TapResult {
  readonly out: Buffer
  /** Classes that are not zero, `requests` aside. */
  readonly usage: UnitsByClass | null
  readonly ends: readonly [boolean, boolean, boolean]
}

/** What a tap passes on and has learned, once it was fed these chunks and the end. */
export function feed(tap: Tap, chunks: Iterable<Buffer>): TapResult {
  const out: Buffer[] = []
  for (const chunk of chunks) out.push(tap.push(chunk))
  out.push(tap.end())
  const { requests, ...tokens } = usedUnits(tap.answerUsage()?.usage)
  const usage = requests === 1 ? tokens : null
  return { out: Buffer.concat(out), usage, ends: [tap.finished, tap.terminated, tap.failed] }
}

export function* bytewise(bytes: Buffer, size = 1): Generator<Buffer> {
  for (let offset = 0; offset < bytes.length; offset += size) yield bytes.subarray(offset, offset + size)
}

setFlagsFromString('--expose-gc')
const collect: () => void = runInNewContext('gc')

/** Heap and buffers in bytes, garbage aside. */
export function memoryBytes(): number {
  // Buffers are freed beside the program: the second time waits for the first.
  collect()
  collect()
  const { heapUsed, arrayBuffers } = process.memoryUsage()
  return heapUsed + arrayBuffers
}

/** Processor time of this process: a busy machine hardly stretches it. */
function cpuMs(): number {
  const { user, system } = process.cpuUsage()
  return (user + system) / 1_000
}

/** Pushes bytes one by one. Returns the most memory held on the way; throws where time is out of all proportion. */
export function pushBytewise(tap: Tap, bytes: Buffer): number {
  const before = memoryBytes()
  const untilMs = cpuMs() + 20_000
  let maxBytes = 0
  for (let offset = 0; offset < bytes.length; offset++) {
    tap.push(bytes.subarray(offset, offset + 1))
    if (offset % 65_536 === 0 && cpuMs() > untilMs)
      throw new Error(`Only ${offset} bytes of ${bytes.length} in 20 seconds.`)
    if (offset % 1_040_000 === 1_039_999) maxBytes = Math.max(maxBytes, memoryBytes() - before)
  }
  return Math.max(maxBytes, memoryBytes() - before)
}
