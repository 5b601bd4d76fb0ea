// Laws: what makes a request a legal one of each provider's API, as far as the provider itself would refuse it.

import type { IncomingHttpHeaders } from 'node:http'
import { isRecord, recordOf } from '../../../src/core/json-values.ts'

export type Json = Readonly<Record<string, unknown>>

/** A request as a provider got it. */
export interface Received {
  readonly method: string
  /** Without its query. */
  readonly path: string
  readonly query: string
  readonly headers: IncomingHttpHeaders
  readonly body: Json
}

/** The keys that a gateway has for them. */
export const KEYS = {
  openai: 'sk-of-openai-0123456789',
  anthropic: 'sk-ant-of-anthropic-0123456789',
  gemini: 'AIza-of-gemini-0123456789',
  compatible: 'gsk-of-the-endpoint-0123456789',
} as const
export type Provider = keyof typeof KEYS

/** Signs thoughts of each provider: no other one takes them. */
export const SIGNATURES = { anthropic: 'EqQBsigned+by/anthropic==', gemini: 'CsYBsigned+by/gemini==' }
/** Documented by Google for calls that another model made. */
const UNSIGNED = 'skip_thought_signature_validator'

export const listOf = (value: unknown): readonly Json[] => (Array.isArray(value) ? value.filter(isRecord) : [])

/** What is wrong with it; empty for a legal one. */
export function faultsOf(provider: Provider, received: Received): string[] {
  const law = new RuleChecker()
  law.check(received.method === 'POST', 'is no POST')
  law.check(String(received.headers['content-type']).startsWith('application/json'), 'is no JSON')
  const sent = JSON.stringify(received.headers)
  for (const [name, key] of Object.entries(KEYS)) law.check(name === provider || !sent.includes(key), `knows ${name}`)
  law.check(!/x-bursar|secret-of-the-caller/.test(sent), 'tells of the gateway')
  if (provider === 'anthropic') checkAnthropic(law, received)
  else if (provider === 'gemini') checkGemini(law, received)
  else checkOpenai(law, received, provider)
  return law.faults
}

class RuleChecker {
  readonly faults: string[] = []

  check(isSo: boolean, fault: string): void {
    if (!isSo) this.faults.push(fault)
  }

  /** Providers refuse fields they do not know, unless there is nothing in them. */
  checkFields(where: string, value: unknown, known: string): void {
    for (const [name, inner] of Object.entries(recordOf(value)))
      this.check(inner === null || known.split(' ').includes(name), `${where}.${name} is unknown`)
  }
}

const TOOL_NAME = /^[a-zA-Z0-9_-]{1,64}$/
const OPENAI_FIELDS =
  'model messages stream stream_options tools tool_choice parallel_tool_calls response_format n temperature top_p seed ' +
  'stop frequency_penalty presence_penalty reasoning_effort user logprobs top_logprobs logit_bias metadata verbosity'

function checkOpenai(law: RuleChecker, { path, headers, body }: Received, provider: 'openai' | 'compatible'): void {
  const isOpenai = provider === 'openai'
  law.check(path === `/${provider}/v1/chat/completions`, `path ${path}`)
  law.check(headers.authorization === `Bearer ${KEYS[provider]}`, 'authorization')
  law.checkFields('body', body, `${OPENAI_FIELDS} ${isOpenai ? 'max_completion_tokens' : 'max_tokens top_k'}`)
  law.check(body.stream_options === undefined || body.stream === true, 'stream_options without stream')
  const { type, json_schema: format } = recordOf(body.response_format)
  if (type === 'json_schema') {
    law.check(TOOL_NAME.test(String(recordOf(format).name)), 'response_format has no name')
    law.check(isRecord(recordOf(format).schema), 'response_format has no schema')
  }
  if (/^gpt-4|^llama/.test(String(body.model))) law.check(body.reasoning_effort === undefined, 'cannot reason')
  for (const tool of listOf(body.tools)) {
    const { name, parameters } = recordOf(tool.function)
    law.check(tool.type === 'function' && TOOL_NAME.test(String(name)), 'tools')
    law.check(parameters === undefined || recordOf(parameters).type === 'object', 'parameters')
  }
  checkOpenaiMessages(law, listOf(body.messages))
}

function checkOpenaiMessages(law: RuleChecker, messages: readonly Json[]): void {
  law.check(messages.length > 0, 'no messages')
  let awaited: string[] = []
  for (const message of messages) {
    const { role, content, tool_calls: calls, tool_call_id: answered } = message
    law.checkFields(
      `${role}`,
      message,
      'role content tool_calls tool_call_id name refusal annotations reasoning_content thinking_blocks',
    )
    law.check(['system', 'developer', 'user', 'assistant', 'tool'].includes(String(role)), `role ${role}`)
    if (role === 'tool') {
      law.check(awaited.includes(String(answered)), `a result of ${answered}`)
      awaited = awaited.filter((id) => id !== answered)
      law.check(typeof content === 'string' || listOf(content).every(({ type }) => type === 'text'), 'a result')
      continue
    }
    law.check(awaited.length === 0, `no result of ${awaited}`)
    const hasContent = typeof content === 'string' || listOf(content).length > 0
    law.check(hasContent || (role === 'assistant' && listOf(calls).length > 0), `${role} says nothing`)
    for (const part of listOf(content)) checkOpenaiPart(law, part)
    awaited = listOf(calls).map(({ id, function: called }) => {
      law.check(isObject(recordOf(called).arguments), 'arguments are no JSON object')
      law.check(typeof id === 'string' && id.length <= 40, `id ${id}`)
      return String(id)
    })
  }
  law.check(awaited.length === 0, `no result of ${awaited}`)
}

function checkOpenaiPart(law: RuleChecker, { type, text, image_url: image }: Json): void {
  if (type === 'image_url')
    law.check(/^(data:image\/png;base64,|https:)/.test(String(recordOf(image).url)), 'image_url')
  else law.check(type === 'text' && typeof text === 'string', `part ${type}`)
}

function isObject(text: unknown): boolean {
  return typeof text === 'string' && isRecord(JSON.parse(text))
}

const ANTHROPIC_FIELDS =
  'model max_tokens messages system stream tools tool_choice stop_sequences thinking output_config ' + 'metadata'
const ANTHROPIC_ID = /^[a-zA-Z0-9_-]+$/

function checkAnthropic(law: RuleChecker, { path, headers, body }: Received): void {
  const { max_tokens: cap, thinking, tool_choice: choice } = body
  law.check(path === '/anthropic/v1/messages', `path ${path}`)
  const keys = [headers['x-api-key'], headers.authorization].filter((key) => key !== undefined)
  law.check(keys.length === 1 && `${keys}`.replace('Bearer ', '') === KEYS.anthropic, `keys ${keys}`)
  const version = String(headers['anthropic-version'])
  law.check(/^(2023-06-01|2026-10-21)$/.test(version), `version ${version}`)
  law.checkFields(
    'body',
    body,
    version === '2023-06-01' ? `${ANTHROPIC_FIELDS} temperature top_p top_k` : ANTHROPIC_FIELDS,
  )
  law.check(Number.isInteger(cap) && Number(cap) > 0, 'max_tokens')
  for (const tool of listOf(body.tools)) {
    law.checkFields('tool', tool, 'name description input_schema type strict cache_control')
    law.check(TOOL_NAME.test(String(tool.name)) && recordOf(tool.input_schema).type === 'object', 'tools')
  }
  const { format } = recordOf(body.output_config)
  if (format !== undefined) {
    law.checkFields('format', format, 'type schema')
    law.check(recordOf(format).type === 'json_schema' && isRecord(recordOf(format).schema), 'format')
  }
  const { type, budget_tokens: budget } = recordOf(thinking)
  if (type === 'enabled') {
    law.check(Number(budget) >= 1_024 && Number(budget) < Number(cap), `budget ${budget}`)
    law.check(body.temperature === undefined && body.top_k === undefined, 'thinking with sampling')
    law.check(!['any', 'tool'].includes(String(recordOf(choice).type)), 'thinking with a forced tool')
  }
  checkAnthropicMessages(law, listOf(body.messages), type === 'enabled')
}

function checkAnthropicMessages(law: RuleChecker, messages: readonly Json[], thinks: boolean): void {
  law.check(messages[0]?.role === 'user', 'no user begins')
  let awaited: string[] = []
  for (const [at, { role, content }] of messages.entries()) {
    law.check(role === (at % 2 === 0 ? 'user' : 'assistant'), `role ${role} at ${at}`)
    const blocks = typeof content === 'string' ? [{ type: 'text', text: content }] : listOf(content)
    law.check(blocks.length > 0, 'an empty message')
    const results = blocks.filter(({ type }) => type === 'tool_result').map(({ tool_use_id }) => String(tool_use_id))
    law.check(
      blocks.slice(0, results.length).every(({ type }) => type === 'tool_result'),
      'results come late',
    )
    law.check(`${results.toSorted()}` === `${awaited.toSorted()}`, `results of ${results}, not of ${awaited}`)
    const calls = blocks.filter(({ type }) => type === 'tool_use')
    for (const block of blocks) checkAnthropicBlock(law, block, role)
    const isThought = ['thinking', 'redacted_thinking'].includes(String(blocks[0]?.type))
    law.check(!thinks || at < messages.length - 2 || calls.length === 0 || isThought, 'a call without thinking')
    awaited = calls.map(({ id }) => String(id))
  }
  law.check(awaited.length === 0, `no result of ${awaited}`)
}

function checkAnthropicBlock(law: RuleChecker, block: Json, role: unknown): void {
  const { type, id, input, source, text, signature, tool_use_id: answered } = block
  if (type === 'text') law.check(typeof text === 'string' && text !== '', 'an empty text')
  else if (type === 'tool_use') {
    law.checkFields('tool_use', block, 'type id name input cache_control caller')
    law.check(role === 'assistant' && ANTHROPIC_ID.test(String(id)) && isRecord(input), `tool_use ${id}`)
  } else if (type === 'tool_result')
    law.check(role === 'user' && ANTHROPIC_ID.test(String(answered)), `tool_result ${answered}`)
  else if (type === 'image') law.check(role === 'user' && recordOf(source).media_type === 'image/png', 'image')
  else law.check(type === 'thinking' && signature === SIGNATURES.anthropic, `block ${type} signed ${signature}`)
}

const GEMINI_FIELDS = 'contents systemInstruction tools toolConfig generationConfig safetySettings'
const CONFIG_FIELDS =
  'candidateCount maxOutputTokens temperature topP topK seed stopSequences frequencyPenalty presencePenalty ' +
  'responseMimeType responseJsonSchema responseSchema thinkingConfig'

function checkGemini(law: RuleChecker, { path, query, headers, body }: Received): void {
  const [, model = '', method = ''] = /^\/gemini\/v1(?:beta)?\/models\/([\w.-]+):(\w+)$/.exec(path) ?? []
  law.check(['generateContent', 'streamGenerateContent'].includes(method), `path ${path}`)
  law.check(method === 'streamGenerateContent' ? /^(alt=sse)?$/.test(query) : query === '', `query ${query}`)
  law.check(headers['x-goog-api-key'] === KEYS.gemini, 'x-goog-api-key')
  law.checkFields('body', body, GEMINI_FIELDS)
  const config = recordOf(body.generationConfig)
  law.checkFields('generationConfig', config, CONFIG_FIELDS)
  law.check(!('responseJsonSchema' in config) || config.responseMimeType === 'application/json', 'responseMimeType')
  law.checkFields(
    'thinkingConfig',
    config.thinkingConfig,
    `includeThoughts ${/-2\.5/.test(model) ? 'thinkingBudget' : 'thinkingLevel'}`,
  )
  for (const tool of listOf(body.tools)) {
    law.checkFields('tool', tool, 'functionDeclarations')
    for (const { name, parameters, parametersJsonSchema: schema } of listOf(tool.functionDeclarations)) {
      law.check(TOOL_NAME.test(String(name)) && !(parameters && schema), 'functionDeclarations')
      law.check(recordOf(parameters ?? schema).type !== undefined, 'parameters')
    }
  }
  for (const part of listOf(recordOf(body.systemInstruction).parts)) law.check(typeof part.text === 'string', 'system')
  checkGeminiContents(law, listOf(body.contents), model.startsWith('gemini-3'))
}

function checkGeminiContents(law: RuleChecker, contents: readonly Json[], signs: boolean): void {
  law.check(contents[0]?.role === 'user', 'no user begins')
  let awaited: readonly Json[] = []
  for (const [at, { role, parts }] of contents.entries()) {
    law.check(role === (at % 2 === 0 ? 'user' : 'model'), `role ${role} at ${at}`)
    law.check(!listOf(parts).every(({ text }) => text === ''), 'an empty content')
    const answers = listOf(parts).flatMap((part) => listOf([part.functionResponse]))
    law.check(answers.length === awaited.length, `${answers.length} responses to ${awaited.length} calls`)
    for (const [index, { id, name, response }] of answers.entries()) {
      const call = awaited[index]
      law.check(call?.name === name && call?.id === id && isRecord(response), `a response of ${name} ${id}`)
    }
    const calling = listOf(parts).filter((part) => part.functionCall !== undefined)
    const { thoughtSignature } = calling[0] ?? {}
    const isSigned = thoughtSignature === SIGNATURES.gemini || thoughtSignature === UNSIGNED
    law.check(!signs || calling.length === 0 || isSigned, 'the first call is not signed')
    for (const part of listOf(parts)) checkGeminiPart(law, part)
    awaited = calling.map((part) => recordOf(part.functionCall))
  }
  law.check(awaited.length === 0, 'no responses')
}

function checkGeminiPart(law: RuleChecker, { thought, thoughtSignature, ...data }: Json): void {
  const [kind = '', ...others] = Object.keys(data)
  law.check(others.length === 0, `a part of ${kind} and ${others}`)
  law.check(thoughtSignature === undefined || kind === 'functionCall' || thought === true, 'thoughtSignature')
  if (kind === 'text') law.check(typeof data.text === 'string', 'text')
  else if (kind === 'inlineData') law.check(recordOf(data.inlineData).mimeType === 'image/png', 'inlineData')
  else if (kind === 'functionCall') law.check(isRecord(recordOf(data.functionCall).args), 'args')
  else law.check(kind === 'functionResponse', `part ${kind}`)
}
