// Upstream: the providers' side over a real socket. Answers each dialect as its provider does, and keeps what it was sent.

import { createServer, type IncomingHttpHeaders, type IncomingMessage, type ServerResponse } from 'node:http'
import { constants, createGzip, gzipSync } from 'node:zlib'
import { listen } from './server.ts'

export type DialectName = 'openai' | 'anthropic' | 'gemini'

/** A request as the provider got it. */
export interface Received {
  readonly dialect: DialectName
  /** With its query. */
  readonly path: string
  readonly headers: IncomingHttpHeaders
  readonly body: Readonly<Record<string, unknown>>
}

export interface Answer {
  readonly status: number
  readonly headers: Readonly<Record<string, string>>
  /** What is written, one write each; a promise is waited for in its place. */
  readonly pieces: readonly (string | Promise<unknown>)[]
  /** Breaks the connection after the last piece. */
  readonly cut?: boolean
  readonly gzip?: boolean
}

export interface ReportedUsage {
  readonly input: number
  readonly output: number
}

export interface Upstream extends AsyncDisposable {
  /** Its origin, without a trailing slash. */
  readonly url: string
  readonly received: readonly Received[]
  /** What every answer says it used. */
  reportedUsage: ReportedUsage
  /** Changes what is answered. Gets what the provider would have said. */
  reply: (usual: Answer, received: Received) => Answer
  /** Settings of a gateway in front of it. */
  readonly settings: Readonly<Record<string, string>>
}

/** The keys that a gateway in front of it has. */
export const PROVIDER_KEY = 'sk-of-the-provider-0123456789'

export async function startUpstream(): Promise<Upstream> {
  const received: Received[] = []
  const server = createServer((request, response) => {
    void take(request, response).catch(() => response.destroy())
  })
  const take = async (request: IncomingMessage, response: ServerResponse) => {
    const one = await readRequest(request)
    received.push(one)
    await sendAnswer(response, upstream.reply(usualAnswer(one, upstream.reportedUsage), one))
  }
  const url = await listen(server)
  const upstream: Upstream = {
    url,
    received,
    reportedUsage: { input: 21, output: 9 },
    reply: (answer) => answer,
    settings: {
      OPENAI_API_KEY: PROVIDER_KEY,
      OPENAI_BASE_URL: `${url}/v1`,
      ANTHROPIC_API_KEY: PROVIDER_KEY,
      ANTHROPIC_BASE_URL: url,
      GEMINI_API_KEY: PROVIDER_KEY,
      GEMINI_BASE_URL: url,
    },
    async [Symbol.asyncDispose]() {
      server.close()
      server.closeAllConnections()
    },
  }
  return upstream
}

async function readRequest(request: IncomingMessage): Promise<Received> {
  const path = request.url ?? ''
  const dialect = path.includes('/chat/completions') ? 'openai' : path.includes('/messages') ? 'anthropic' : 'gemini'
  let text = ''
  for await (const chunk of request.setEncoding('utf8')) text += chunk
  return { dialect, path, headers: request.headers, body: JSON.parse(text) }
}

async function sendAnswer(response: ServerResponse, { status, headers, pieces, cut, gzip }: Answer): Promise<void> {
  const whole = pieces.length === 1 && typeof pieces[0] === 'string'
  response.writeHead(status, gzip ? { ...headers, 'content-encoding': 'gzip' } : headers)
  response.flushHeaders()
  const zip = gzip && !whole ? createGzip({ flush: constants.Z_SYNC_FLUSH }) : undefined
  zip?.pipe(response)
  for (const piece of pieces) {
    if (typeof piece !== 'string') await piece
    else if (gzip && whole) response.write(gzipSync(piece))
    else (zip ?? response).write(piece)
    // Each piece is a packet of its own, as tokens are.
    await new Promise((resolve) => setImmediate(resolve))
  }
  if (cut) response.destroy()
  else (zip ?? response).end()
}

/** The text of every answer, piece by piece, and the tool that is called instead where there are tools. */
export const WORDS: readonly string[] = ['Grüße', ' aus', ' Köln', ' \u{1f44b}', '.']
export const CITY = { name: 'weather', arguments: { city: 'Köln' } }
const TEXT = WORDS.join('')
const ARGUMENTS = JSON.stringify(CITY.arguments)

function usualAnswer({ dialect, path, body }: Received, spent: ReportedUsage): Answer {
  const tool = Array.isArray(body.tools) && body.tools.length > 0
  const stream = dialect === 'gemini' ? path.includes(':stream') : body.stream === true
  const events = stream && (dialect !== 'gemini' || path.includes('alt=sse'))
  const type = events ? 'text/event-stream; charset=utf-8' : 'application/json'
  const voice = { openai, anthropic, gemini }[dialect]
  const pieces = stream ? voice.stream(spent, tool, body) : [JSON.stringify(voice.whole(spent, tool))]
  const asArray = stream && !events
  return {
    status: 200,
    headers: { 'content-type': type, 'set-cookie': '__cf_bm=cookie; path=/', ...voice.headers },
    pieces: asArray ? [...pieces.map((piece, at) => `${at ? ',\r\n' : '['}${piece.slice(6).trim()}\n`), ']'] : pieces,
  }
}

interface DialectAnswers {
  readonly headers: Readonly<Record<string, string>>
  whole(spent: ReportedUsage, tool: boolean): unknown
  stream(spent: ReportedUsage, tool: boolean, body: Readonly<Record<string, unknown>>): string[]
}

const openai: DialectAnswers = {
  headers: {
    'x-request-id': 'req_upstream',
    'openai-organization': 'the-owner',
    'openai-processing-ms': '401',
    'openai-version': '2020-10-01',
    'x-ratelimit-limit-requests': '5000',
    'x-ratelimit-remaining-requests': '4999',
    'x-ratelimit-reset-requests': '12ms',
  },
  whole: (spent, tool) => {
    const said = { role: 'assistant', content: tool ? null : TEXT, refusal: null, annotations: [] }
    const call = { id: 'call_1', type: 'function', function: { name: CITY.name, arguments: ARGUMENTS } }
    const message = tool ? { ...said, tool_calls: [call] } : said
    const choice = { index: 0, message, logprobs: null, finish_reason: tool ? 'tool_calls' : 'stop' }
    return { ...openaiFrame, object: 'chat.completion', choices: [choice], usage: openaiUsage(spent) }
  },
  stream: (spent, tool, { stream_options: options }) => {
    const asked = typeof options === 'object' && options !== null && 'include_usage' in options && options.include_usage
    const chunk = (choices: unknown[], usage: unknown = null) =>
      `data: ${JSON.stringify({ ...openaiFrame, object: 'chat.completion.chunk', choices, ...(asked ? { usage } : {}), obfuscation: 'aJ3x' })}\n\n`
    const delta = (delta: unknown, finish_reason: string | null = null) =>
      chunk([{ index: 0, delta, logprobs: null, finish_reason }])
    const call = (part: unknown) => delta({ tool_calls: [{ index: 0, ...(part as object) }] })
    const opening = { id: 'call_1', type: 'function', function: { name: CITY.name, arguments: '' } }
    return [
      delta({ role: 'assistant', content: tool ? null : '', refusal: null }),
      ...(tool ? [call(opening)] : []),
      ...(tool ? halves(ARGUMENTS).map((part) => call({ function: { arguments: part } })) : []),
      ...(tool ? [] : WORDS.map((content) => delta({ content }))),
      delta({}, tool ? 'tool_calls' : 'stop'),
      ...(asked ? [chunk([], openaiUsage(spent))] : []),
      'data: [DONE]\n\n',
    ]
  },
}

const openaiFrame = {
  id: 'chatcmpl-CyCSIMmw6M95',
  created: 1_795_348_800,
  model: 'gpt-4o-2024-08-06',
  service_tier: 'default',
  system_fingerprint: 'fp_a0e9480a2f',
}

function openaiUsage({ input, output }: ReportedUsage) {
  return {
    prompt_tokens: input,
    completion_tokens: output,
    total_tokens: input + output,
    prompt_tokens_details: { cached_tokens: 0, audio_tokens: 0 },
    completion_tokens_details: { reasoning_tokens: 0, audio_tokens: 0 },
  }
}

const anthropic: DialectAnswers = {
  headers: {
    'request-id': 'req_upstream',
    'anthropic-organization-id': 'the-owner',
    'anthropic-ratelimit-requests-limit': '50',
    'anthropic-ratelimit-requests-remaining': '49',
    'anthropic-ratelimit-requests-reset': '2026-11-22T12:00:01Z',
  },
  whole: (spent, tool) => ({
    ...anthropicFrame,
    content: [tool ? { ...anthropicCall, input: CITY.arguments } : { type: 'text', text: TEXT }],
    stop_reason: tool ? 'tool_use' : 'end_turn',
    usage: anthropicUsage(spent),
  }),
  stream: (spent, tool) => {
    const event = (type: string, more: object = {}) => `event: ${type}\ndata: ${JSON.stringify({ type, ...more })}\n\n`
    const delta = (delta: unknown) => event('content_block_delta', { index: 0, delta })
    const usage = { ...anthropicUsage(spent), output_tokens: 1 }
    return [
      event('message_start', { message: { ...anthropicFrame, content: [], stop_reason: null, usage } }),
      event('content_block_start', { index: 0, content_block: tool ? anthropicCall : { type: 'text', text: '' } }),
      event('ping'),
      ...(tool
        ? halves(ARGUMENTS).map((part) => delta({ type: 'input_json_delta', partial_json: part }))
        : WORDS.map((text) => delta({ type: 'text_delta', text }))),
      event('content_block_stop', { index: 0 }),
      event('message_delta', {
        delta: { stop_reason: tool ? 'tool_use' : 'end_turn', stop_sequence: null },
        usage: { output_tokens: spent.output },
      }),
      event('message_stop'),
    ]
  },
}

const anthropicCall = { type: 'tool_use', id: 'toolu_1', name: CITY.name, input: {} }
const anthropicFrame = {
  model: 'claude-sonnet-5',
  id: 'msg_01KPaKTJSqAK',
  type: 'message',
  role: 'assistant',
  stop_sequence: null,
}

function anthropicUsage({ input, output }: ReportedUsage) {
  return {
    input_tokens: input,
    cache_creation_input_tokens: 0,
    cache_read_input_tokens: 0,
    cache_creation: { ephemeral_5m_input_tokens: 0, ephemeral_1h_input_tokens: 0 },
    output_tokens: output,
    service_tier: 'standard',
    inference_geo: 'not_available',
  }
}

const gemini: DialectAnswers = {
  headers: { 'server-timing': 'gfet4t7; dur=610', 'x-content-type-options': 'nosniff' },
  whole: (spent, tool) => geminiResponse([tool ? geminiCall : { text: TEXT }], spent, true),
  stream: (spent, tool) => {
    const parts = tool ? [geminiCall] : WORDS.map((text) => ({ text }))
    return parts.map((part, at) => {
      const response = geminiResponse([part], spent, at === parts.length - 1)
      return `data: ${JSON.stringify(response)}\r\n\r\n`
    })
  },
}

const geminiCall = { functionCall: { id: 'fc_1', name: CITY.name, args: CITY.arguments } }

function geminiResponse(parts: readonly unknown[], { input, output }: ReportedUsage, last: boolean) {
  const counted = last ? { candidatesTokenCount: output, totalTokenCount: input + output } : { totalTokenCount: input }
  return {
    candidates: [{ content: { parts, role: 'model' }, ...(last ? { finishReason: 'STOP' } : {}), index: 0 }],
    usageMetadata: {
      promptTokenCount: input,
      ...counted,
      promptTokensDetails: [{ modality: 'TEXT', tokenCount: input }],
    },
    modelVersion: 'gemini-2.5-flash',
    responseId: 'RdkEauOIL66dqtsP',
  }
}

function halves(text: string): string[] {
  const middle = text.length >> 1
  return [text.slice(0, middle), text.slice(middle)]
}
