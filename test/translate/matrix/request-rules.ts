// Request rules: what each provider's API would refuse in a request.

import type { IncomingHttpHeaders } from 'node:http'
import { isRecord, recordOf } from '../../../src/core/json-values.ts'

export type Json = Readonly<Record<string, unknown>>

/** A request as a provider received it. */
export interface Received {
  readonly method: string
  /** The path without its query. */
  readonly path: string
  readonly query: string
  readonly headers: IncomingHttpHeaders
  readonly body: Json
}

/** The gateway's key for each provider. */
export const KEYS = {
  openai: 'sk-of-openai-0123456789',
  anthropic: 'sk-ant-of-anthropic-0123456789',
  gemini: 'AIza-of-gemini-0123456789',
  compatible: 'gsk-of-the-endpoint-0123456789',
} as const
export type Provider = keyof typeof KEYS

/** The signature of each provider's thoughts. The other providers refuse it. */
export const SIGNATURES = { anthropic: 'EqQBsigned+by/anthropic==', gemini: 'CsYBsigned+by/gemini==' }
/** Google documents this signature for calls that another model made. */
const UNSIGNED = 'skip_thought_signature_validator'

export const listOf = (value: unknown): readonly Json[] => (Array.isArray(value) ? value.filter(isRecord) : [])

/** What is wrong with a request; empty for a legal one. */
export function faultsOf(provider: Provider, received: Received): string[] {
  const checker = new RuleChecker()
  checker.check(received.method === 'POST', 'the method is not POST')
  checker.check(String(received.headers['content-type']).startsWith('application/json'), 'the content type is not JSON')
  const sent = JSON.stringify(received.headers)
  for (const [name, key] of Object.entries(KEYS))
    checker.check(name === provider || !sent.includes(key), `the headers contain the key for ${name}`)
  checker.check(!/x-bursar|secret-of-the-caller/.test(sent), 'the headers contain data of the gateway')
  if (provider === 'anthropic') checkAnthropic(checker, received)
  else if (provider === 'gemini') checkGemini(checker, received)
  else checkOpenai(checker, received, provider)
  return checker.faults
}

class RuleChecker {
  readonly faults: string[] = []

  check(isLegal: boolean, fault: string): void {
    if (!isLegal) this.faults.push(fault)
  }

  /** Providers refuse unknown fields, unless they are null. */
  checkFields(where: string, value: unknown, known: string): void {
    for (const [name, inner] of Object.entries(recordOf(value)))
      this.check(inner === null || known.split(' ').includes(name), `${where}.${name} is unknown`)
  }
}

const GEMINI_TOOL_NAME = /^[a-zA-Z_][a-zA-Z0-9_.:-]{0,63}$/
const TOOL_NAME = /^[a-zA-Z0-9_-]{1,64}$/
const OPENAI_FIELDS =
  'model messages stream stream_options tools tool_choice parallel_tool_calls response_format n temperature top_p seed ' +
  'stop frequency_penalty presence_penalty reasoning_effort user logprobs top_logprobs logit_bias metadata verbosity'

function checkOpenai(checker: RuleChecker, { path, headers, body }: Received, provider: 'openai' | 'compatible'): void {
  const isOpenai = provider === 'openai'
  checker.check(path === `/${provider}/v1/chat/completions`, `path ${path}`)
  checker.check(headers.authorization === `Bearer ${KEYS[provider]}`, 'authorization')
  checker.checkFields('body', body, `${OPENAI_FIELDS} ${isOpenai ? 'max_completion_tokens' : 'max_tokens top_k'}`)
  checker.check(body.stream_options === undefined || body.stream === true, 'stream_options without stream')
  const { type, json_schema: format } = recordOf(body.response_format)
  if (type === 'json_schema') {
    checker.check(TOOL_NAME.test(String(recordOf(format).name)), 'response_format has no name')
    checker.check(isRecord(recordOf(format).schema), 'response_format has no schema')
  }
  if (/^gpt-4|^llama/.test(String(body.model))) checker.check(body.reasoning_effort === undefined, 'cannot reason')
  for (const tool of listOf(body.tools)) {
    const { name, parameters } = recordOf(tool.function)
    checker.check(tool.type === 'function' && TOOL_NAME.test(String(name)), 'tools')
    checker.check(parameters === undefined || recordOf(parameters).type === 'object', 'parameters')
  }
  checkOpenaiMessages(checker, listOf(body.messages))
}

function checkOpenaiMessages(checker: RuleChecker, messages: readonly Json[]): void {
  checker.check(messages.length > 0, 'no messages')
  let pendingCalls: string[] = []
  for (const message of messages) {
    const { role, content, tool_calls: calls, tool_call_id: callId } = message
    checker.checkFields(
      `${role}`,
      message,
      'role content tool_calls tool_call_id name refusal annotations reasoning_content thinking_blocks',
    )
    checker.check(['system', 'developer', 'user', 'assistant', 'tool'].includes(String(role)), `role ${role}`)
    if (role === 'tool') {
      checker.check(pendingCalls.includes(String(callId)), `a result of ${callId}`)
      pendingCalls = pendingCalls.filter((id) => id !== callId)
      checker.check(typeof content === 'string' || listOf(content).every(({ type }) => type === 'text'), 'a result')
      continue
    }
    checker.check(pendingCalls.length === 0, `no result of ${pendingCalls}`)
    const hasContent = typeof content === 'string' || listOf(content).length > 0
    checker.check(hasContent || (role === 'assistant' && listOf(calls).length > 0), `the message of ${role} is empty`)
    for (const part of listOf(content)) checkOpenaiPart(checker, part)
    pendingCalls = listOf(calls).map(({ id, function: calls }) => {
      checker.check(isObject(recordOf(calls).arguments), 'arguments are not a JSON object')
      checker.check(typeof id === 'string' && id.length <= 40, `id ${id}`)
      return String(id)
    })
  }
  checker.check(pendingCalls.length === 0, `no result of ${pendingCalls}`)
}

function checkOpenaiPart(checker: RuleChecker, { type, text, image_url: image }: Json): void {
  if (type === 'image_url')
    checker.check(/^(data:image\/png;base64,|https:)/.test(String(recordOf(image).url)), 'image_url')
  else checker.check(type === 'text' && typeof text === 'string', `part ${type}`)
}

function isObject(text: unknown): boolean {
  return typeof text === 'string' && isRecord(JSON.parse(text))
}

const ANTHROPIC_FIELDS =
  'model max_tokens messages system stream tools tool_choice stop_sequences thinking output_config metadata cache_control'
const ANTHROPIC_ID = /^[a-zA-Z0-9_-]+$/

function checkAnthropic(checker: RuleChecker, { path, headers, body }: Received): void {
  const { max_tokens: cap, thinking, tool_choice: choice } = body
  checker.check(path === '/anthropic/v1/messages', `path ${path}`)
  const keys = [headers['x-api-key'], headers.authorization].filter((key) => key !== undefined)
  checker.check(keys.length === 1 && `${keys}`.replace('Bearer ', '') === KEYS.anthropic, `keys ${keys}`)
  const version = String(headers['anthropic-version'])
  checker.check(/^(2023-06-01|2026-10-21)$/.test(version), `version ${version}`)
  checker.checkFields(
    'body',
    body,
    version === '2023-06-01' ? `${ANTHROPIC_FIELDS} temperature top_p top_k` : ANTHROPIC_FIELDS,
  )
  checker.check(Number.isInteger(cap) && Number(cap) > 0, 'max_tokens')
  for (const tool of listOf(body.tools)) {
    checker.checkFields('tool', tool, 'name description input_schema type strict cache_control')
    checker.check(TOOL_NAME.test(String(tool.name)) && recordOf(tool.input_schema).type === 'object', 'tools')
  }
  const { format } = recordOf(body.output_config)
  if (format !== undefined) {
    checker.checkFields('format', format, 'type schema')
    checker.check(recordOf(format).type === 'json_schema' && isRecord(recordOf(format).schema), 'format')
  }
  const { type, budget_tokens: budget } = recordOf(thinking)
  if (type === 'enabled') {
    checker.check(Number(budget) >= 1_024 && Number(budget) < Number(cap), `budget ${budget}`)
    checker.check(body.temperature === undefined && body.top_k === undefined, 'thinking with sampling')
    checker.check(!['any', 'tool'].includes(String(recordOf(choice).type)), 'thinking with a forced tool')
  }
  checkAnthropicMessages(checker, listOf(body.messages), type === 'enabled')
}

function checkAnthropicMessages(checker: RuleChecker, messages: readonly Json[], thinks: boolean): void {
  checker.check(messages[0]?.role === 'user', "the first message is not the user's")
  let pendingCalls: string[] = []
  for (const [index, { role, content }] of messages.entries()) {
    checker.check(role === (index % 2 === 0 ? 'user' : 'assistant'), `role ${role} at ${index}`)
    const blocks = typeof content === 'string' ? [{ type: 'text', text: content }] : listOf(content)
    checker.check(blocks.length > 0, 'an empty message')
    const results = blocks.filter(({ type }) => type === 'tool_result').map(({ tool_use_id }) => String(tool_use_id))
    checker.check(
      blocks.slice(0, results.length).every(({ type }) => type === 'tool_result'),
      'results come after other blocks',
    )
    checker.check(
      `${results.toSorted()}` === `${pendingCalls.toSorted()}`,
      `results of ${results}, not of ${pendingCalls}`,
    )
    const calls = blocks.filter(({ type }) => type === 'tool_use')
    for (const block of blocks) checkAnthropicBlock(checker, block, role)
    const isThought = ['thinking', 'redacted_thinking'].includes(String(blocks[0]?.type))
    checker.check(!thinks || index < messages.length - 2 || calls.length === 0 || isThought, 'a call without thinking')
    pendingCalls = calls.map(({ id }) => String(id))
  }
  checker.check(pendingCalls.length === 0, `no result of ${pendingCalls}`)
}

function checkAnthropicBlock(checker: RuleChecker, block: Json, role: unknown): void {
  const { type, id, input, source, text, signature, tool_use_id: callId } = block
  if (type === 'text') checker.check(typeof text === 'string' && text !== '', 'an empty text')
  else if (type === 'tool_use') {
    checker.checkFields('tool_use', block, 'type id name input cache_control caller')
    checker.check(role === 'assistant' && ANTHROPIC_ID.test(String(id)) && isRecord(input), `tool_use ${id}`)
  } else if (type === 'tool_result')
    checker.check(role === 'user' && ANTHROPIC_ID.test(String(callId)), `tool_result ${callId}`)
  else if (type === 'image') checker.check(role === 'user' && recordOf(source).media_type === 'image/png', 'image')
  else checker.check(type === 'thinking' && signature === SIGNATURES.anthropic, `block ${type} signed ${signature}`)
}

const GEMINI_FIELDS = 'contents systemInstruction tools toolConfig generationConfig safetySettings'
const CONFIG_FIELDS =
  'candidateCount maxOutputTokens temperature topP topK seed stopSequences frequencyPenalty presencePenalty ' +
  'responseMimeType responseJsonSchema responseSchema thinkingConfig'

function checkGemini(checker: RuleChecker, { path, query, headers, body }: Received): void {
  const [, model = '', method = ''] = /^\/gemini\/v1(?:beta)?\/models\/([\w.-]+):(\w+)$/.exec(path) ?? []
  checker.check(['generateContent', 'streamGenerateContent'].includes(method), `path ${path}`)
  checker.check(method === 'streamGenerateContent' ? /^(alt=sse)?$/.test(query) : query === '', `query ${query}`)
  checker.check(headers['x-goog-api-key'] === KEYS.gemini, 'x-goog-api-key')
  checker.checkFields('body', body, GEMINI_FIELDS)
  const config = recordOf(body.generationConfig)
  checker.checkFields('generationConfig', config, CONFIG_FIELDS)
  checker.check(!('responseJsonSchema' in config) || config.responseMimeType === 'application/json', 'responseMimeType')
  checker.checkFields(
    'thinkingConfig',
    config.thinkingConfig,
    `includeThoughts ${/-2\.5/.test(model) ? 'thinkingBudget' : 'thinkingLevel'}`,
  )
  for (const tool of listOf(body.tools)) {
    checker.checkFields('tool', tool, 'functionDeclarations')
    for (const { name, parameters, parametersJsonSchema: schema } of listOf(tool.functionDeclarations)) {
      checker.check(GEMINI_TOOL_NAME.test(String(name)) && !(parameters && schema), 'functionDeclarations')
      const described = parameters ?? schema
      checker.check(described === undefined || recordOf(described).type !== undefined, 'parameters')
    }
  }
  for (const part of listOf(recordOf(body.systemInstruction).parts))
    checker.check(typeof part.text === 'string', 'system')
  checkGeminiContents(checker, listOf(body.contents), model.startsWith('gemini-3'))
}

function checkGeminiContents(checker: RuleChecker, contents: readonly Json[], signs: boolean): void {
  checker.check(contents[0]?.role === 'user', "the first message is not the user's")
  let pendingCalls: readonly Json[] = []
  for (const [index, { role, parts }] of contents.entries()) {
    checker.check(role === (index % 2 === 0 ? 'user' : 'model'), `role ${role} at ${index}`)
    checker.check(!listOf(parts).every(({ text }) => text === ''), 'an empty content')
    const answers = listOf(parts).flatMap((part) => listOf([part.functionResponse]))
    checker.check(answers.length === pendingCalls.length, `${answers.length} responses to ${pendingCalls.length} calls`)
    for (const [answerIndex, { id, name, response }] of answers.entries()) {
      const call = pendingCalls[answerIndex]
      checker.check(call?.name === name && call?.id === id && isRecord(response), `a response of ${name} ${id}`)
    }
    const calling = listOf(parts).filter((part) => part.functionCall !== undefined)
    const { thoughtSignature } = calling[0] ?? {}
    const isSigned = thoughtSignature === SIGNATURES.gemini || thoughtSignature === UNSIGNED
    checker.check(!signs || calling.length === 0 || isSigned, 'the first call is not signed')
    for (const part of listOf(parts)) checkGeminiPart(checker, part)
    pendingCalls = calling.map((part) => recordOf(part.functionCall))
  }
  checker.check(pendingCalls.length === 0, 'no responses')
}

function checkGeminiPart(checker: RuleChecker, { thought, thoughtSignature, ...data }: Json): void {
  const [kind = '', ...others] = Object.keys(data)
  checker.check(others.length === 0, `a part of ${kind} and ${others}`)
  checker.check(thoughtSignature === undefined || kind === 'functionCall' || thought === true, 'thoughtSignature')
  if (kind === 'text') checker.check(typeof data.text === 'string', 'text')
  else if (kind === 'inlineData') checker.check(recordOf(data.inlineData).mimeType === 'image/png', 'inlineData')
  else if (kind === 'functionCall') checker.check(isRecord(recordOf(data.functionCall).args), 'args')
  else checker.check(kind === 'functionResponse', `part ${kind}`)
}
