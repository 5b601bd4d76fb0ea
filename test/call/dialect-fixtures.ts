// Dialect fixtures: requests and answers in each dialect, with the usage a test wants them to have.

export const DIALECT_NAMES = ['openai', 'anthropic', 'gemini'] as const
/** A dialect, by the name of the provider that speaks it. */
export type DialectName = (typeof DIALECT_NAMES)[number]

/** A dollar per million tokens in, two out: a token in costs 1,000 nano-dollars, one out 2,000. */
export const PRICE = { provider: '*', model: 'm', input: '1', output: '2', contextWindow: 200_000, maxOutput: 8_000 }
export const NANO_USD_PER_INPUT_TOKEN = 1_000n
export const NANO_USD_PER_OUTPUT_TOKEN = 2_000n

/** What an answer says it used. */
export interface ReportedUsage {
  readonly input: number
  readonly output: number
}

export const costOfUsage = ({ input, output }: ReportedUsage): bigint =>
  BigInt(input) * NANO_USD_PER_INPUT_TOKEN + BigInt(output) * NANO_USD_PER_OUTPUT_TOKEN

export interface RequestOptions {
  readonly model?: string
  readonly text?: string
  readonly cap?: number
  readonly stream?: boolean
}

/** The path and body of a call. */
export function requestFor(
  dialect: DialectName,
  { model = 'm', text = 'hello', cap, stream = false }: RequestOptions = {},
) {
  const messages = [{ role: 'user', content: text }]
  if (dialect === 'openai') {
    const body = { model, messages, ...(cap === undefined ? {} : { max_completion_tokens: cap }), stream }
    return { path: '/v1/chat/completions', body: JSON.stringify(body) }
  }
  if (dialect === 'anthropic') {
    const body = { model, messages, ...(cap === undefined ? {} : { max_tokens: cap }), stream }
    return { path: '/v1/messages', body: JSON.stringify(body) }
  }
  const contents = [{ role: 'user', parts: [{ text }] }]
  const body = { contents, ...(cap === undefined ? {} : { generationConfig: { maxOutputTokens: cap } }) }
  const method = stream ? 'streamGenerateContent?alt=sse' : 'generateContent'
  return { path: `/v1beta/models/${encodeURIComponent(model)}:${method}`, body: JSON.stringify(body) }
}

export function wholeAnswer(dialect: DialectName, { input, output }: ReportedUsage): string {
  if (dialect === 'openai') {
    const choices = [{ index: 0, message: { role: 'assistant', content: 'hi' }, finish_reason: 'stop' }]
    const usage = { prompt_tokens: input, completion_tokens: output, total_tokens: input + output }
    return JSON.stringify({ id: 'c', object: 'chat.completion', model: 'm', choices, usage })
  }
  if (dialect === 'anthropic') {
    const usage = { input_tokens: input, output_tokens: output }
    const content = [{ type: 'text', text: 'hi' }]
    return JSON.stringify({ id: 'c', type: 'message', model: 'm', content, stop_reason: 'end_turn', usage })
  }
  const usageMetadata = { promptTokenCount: input, candidatesTokenCount: output, totalTokenCount: input + output }
  const candidates = [{ content: { role: 'model', parts: [{ text: 'hi' }] }, finishReason: 'STOP' }]
  return JSON.stringify({ candidates, usageMetadata, modelVersion: 'm' })
}

/** A stream's events in order: the usage is in the last but one, or for Gemini in the last. */
export function eventsOf(
  dialect: DialectName,
  { input, output }: ReportedUsage,
  words = ['Hel', 'lo', ' there'],
): string[] {
  if (dialect === 'openai') {
    const chunk = (choices: unknown[], usage: unknown = null) =>
      `data: ${JSON.stringify({ id: 'c', object: 'chat.completion.chunk', model: 'm', choices, usage })}\n\n`
    const usage = { prompt_tokens: input, completion_tokens: output, total_tokens: input + output }
    return [
      ...words.map((content) => chunk([{ index: 0, delta: { content }, finish_reason: null }])),
      chunk([{ index: 0, delta: {}, finish_reason: 'stop' }]),
      chunk([], usage),
      'data: [DONE]\n\n',
    ]
  }
  if (dialect === 'anthropic') {
    const event = (type: string, fields: object) => `event: ${type}\ndata: ${JSON.stringify({ type, ...fields })}\n\n`
    const start = { id: 'c', model: 'm', content: [], usage: { input_tokens: input, output_tokens: 1 } }
    return [
      event('message_start', { message: start }),
      ...words.map((text) => event('content_block_delta', { index: 0, delta: { type: 'text_delta', text } })),
      event('message_delta', { delta: { stop_reason: 'end_turn' }, usage: { output_tokens: output } }),
      event('message_stop', {}),
    ]
  }
  return words.map((text, index) => {
    const last = index === words.length - 1
    const counted = last ? { candidatesTokenCount: output, totalTokenCount: input + output } : {}
    const usageMetadata = { promptTokenCount: input, ...counted }
    const candidate = { content: { parts: [{ text }], role: 'model' }, ...(last ? { finishReason: 'STOP' } : {}) }
    return `data: ${JSON.stringify({ candidates: [candidate], usageMetadata, modelVersion: 'm' })}\r\n\r\n`
  })
}

interface ErrorBody {
  readonly type?: unknown
  readonly error?: {
    readonly message?: unknown
    readonly type?: unknown
    readonly code?: unknown
    readonly status?: unknown
  }
}

/** What an error in the dialect's own shape says. Throws where it has another shape. */
export function errorIn(dialect: DialectName, body: unknown): { readonly message: string; readonly code: unknown } {
  const { type, error } = body as ErrorBody
  const inShape =
    dialect === 'openai'
      ? typeof error?.type === 'string' && 'code' in error && 'param' in error
      : dialect === 'anthropic'
        ? type === 'error' && typeof error?.type === 'string'
        : typeof error?.code === 'number' && typeof error.status === 'string'
  if (!inShape || typeof error?.message !== 'string') throw new Error(`no error of ${dialect}: ${JSON.stringify(body)}`)
  return { message: error.message, code: error.code }
}
