// OpenAI Responses: what of a request changes its quote, the few bytes that edits touch, and what an answer says it used.

import fc from 'fast-check'
import { describe, expect, test } from 'vitest'
import { Problem } from '../../../src/core/problem.ts'
import { inputTokens, outputTokens, type UnitsByClass, unitsOf, usageOf } from '../../../src/core/usage.ts'
import { dialectAt, dialectNamed, nearestDialect } from '../../../src/wire/index.ts'
import { openaiChat } from '../../../src/wire/openai/chat.ts'
import { openaiResponses } from '../../../src/wire/openai/responses.ts'
import { newDraft } from '../../../src/wire/request-reader.ts'
import { HAS_SHARED_RECORDINGS, recordingsOf } from '../../support/recordings.ts'
import { minUnits } from '../../support/usage-units.ts'
import { bodies, CONTEXT, diffBytes, levelOf, lineTo, NOW_MS, refusalAt } from '../samples.ts'
import { bytewise, feed, type Stream } from '../streams.ts'

const LINE = lineTo('/v1/responses')
const fileSearch = (id: string) => ({
  type: 'file_search_call',
  id,
  status: 'completed',
  queries: ['a'],
  results: null,
})
const code = (container: string | null) => ({ type: 'code_interpreter_call', id: 'ci_1', container_id: container })
const shell = (environment: object | null) => ({ type: 'shell_call', id: 'sh_1', environment })
const SEARCHED = { type: 'web_search_call', id: 'ws_1', action: { type: 'search', query: 'a' } }
const memory = (limit: unknown) => ({ type: 'code_interpreter', container: { type: 'auto', memory_limit: limit } })
const files = (fileSearches: number): UnitsByClass => ({ fileSearches })
const gigabytes = (containerGigabytes: number): UnitsByClass => ({ containerGigabytes })
const BILLED: [string, object, UnitsByClass][] = [
  ['searches of files', { output: [fileSearch('a'), fileSearch('b'), fileSearch('c')] }, files(3)],
  ['containers, each once', { output: [code('a'), code('b'), code('a')] }, gigabytes(2)],
  ['a container without a name', { output: [code(null), code(null)] }, gigabytes(1)],
  [
    'containers of shells',
    { output: [shell({ container_id: 'a' }), shell({ type: 'local' }), shell(null), code('a')] },
    gigabytes(1),
  ],
  ['containers by their memory', { output: [code('a')], tools: [memory('4g')] }, gigabytes(4)],
  [
    'containers by the most expensive memory',
    { output: [code('a')], tools: [memory('16g'), memory('1g'), { type: 'shell', environment: null }] },
    gigabytes(16),
  ],
  [
    'the memory of a shell',
    { output: [shell({ container_id: 'a' })], tools: [{ type: 'shell', environment: { memory_limit: '64g' } }] },
    gigabytes(64),
  ],
  ['a memory that is not known', { output: [code('a')], tools: [memory('9g')] }, gigabytes(64)],
  ['a memory of nothing', { output: [code('a')], tools: [memory(null), memory(7)] }, gigabytes(1)],
]
const BARE = { model: 'gpt-5', input: 'Hi' }
const read = (body: unknown) =>
  openaiResponses.readRequest(Buffer.from(typeof body === 'string' ? body : JSON.stringify(body)), LINE)
const askOf = (fields: object) => read({ ...BARE, ...fields }).facts
const item = (...items: object[]) => ({ input: items })
const says = (...parts: object[]) => item({ role: 'user', content: parts })
const tool = (...tools: object[]) => ({ tools })
const lengthOf = (value: unknown) => Buffer.byteLength(JSON.stringify(value))

describe('the ask', () => {
  test('of a bare call is its model, its bytes and one message', () => {
    expect(read(BARE).facts).toEqual({ ...newDraft(lengthOf(BARE)), model: 'gpt-5', messages: 1, depth: 1 })
    expect(read(BARE).requestsUsage).toBe(true)
  })

  test.each([
    ['a cap', { max_output_tokens: 7 }, { outputCap: 7 }],
    ['a cap of null', { max_output_tokens: null }, { outputCap: null }],
    ["another dialect's cap", { max_tokens: 7 }, { outputCap: null }],
    ['stream', { stream: true }, { stream: true }],
    ['stream of null', { stream: null }, { stream: false }],
    ['a service tier', { service_tier: 'priority' }, { serviceTier: 'priority' }],
    ['a user', { user: 'alice' }, { user: 'alice' }],
    ['a safety identifier', { safety_identifier: 'hash' }, { user: 'hash' }],
    ['both, the user last', { safety_identifier: 'hash', user: 'alice' }, { user: 'alice' }],
    ['both, the user first', { user: 'alice', safety_identifier: 'hash' }, { user: 'alice' }],
    ['spoken answers', { modalities: ['text', 'audio'] }, { audioOutput: true }],
    ['no input', { input: null }, { messages: 1 }],
    ['no items', { input: [] }, { messages: 1 }],
    ['items', item({ role: 'user', content: 'a' }, { type: 'function_call', arguments: '{}' }), { messages: 2 }],
    ['a cache for half an hour', { prompt_cache_options: { ttl: '30m' } }, { cacheWrite: 'none' }],
    ['a cache for half a day', { prompt_cache_options: { mode: 'explicit', ttl: '12h' } }, { cacheWrite: '12h' }],
    [
      'a breakpoint for half a day',
      says({ type: 'input_text', text: 'a', prompt_cache_breakpoint: { ttl: '12h' } }),
      { cacheWrite: '12h' },
    ],
  ])('with %s', (_name, fields, expected) => {
    expect(askOf(fields)).toMatchObject({ unsizedInput: false, unbounded: [], ...expected })
  })

  test.each([
    ['a function', { type: 'function', name: 'f', parameters: {} }],
    ['a grammar', { type: 'custom', name: 'g' }],
    ['functions under one name', { type: 'namespace', tools: [{ type: 'function' }, { type: 'custom' }] }],
  ])('with %s has tools and is bounded by its bytes', (_name, tools) => {
    const bytes = lengthOf({ ...BARE, ...tool(tools) })
    expect(askOf(tool(tools))).toMatchObject({ tools: true, unbounded: [], unsizedInput: false, textBytes: bytes })
  })

  test.each([
    ['a shell', { type: 'local_shell' }],
    ['patches', { type: 'apply_patch' }],
    ['the newer shell', { type: 'shell', environment: { type: 'local' } }],
    ['a search of tools', { type: 'tool_search', execution: 'client' }],
  ])('with %s at the caller is bounded, with room for what the provider says of it', (_name, tools) => {
    const bytes = lengthOf({ ...BARE, ...tool(tools, tools) })
    expect(askOf(tool(tools, tools))).toMatchObject({
      tools: true,
      unbounded: [],
      textBytes: bytes,
      addedTokens: 8_192,
    })
  })

  test.each([
    [tool({ type: 'web_search' }), ['web_search']],
    [tool({ type: 'web_search_preview_2025_03_11' }), ['web_search_preview_2025_03_11']],
    [tool({ type: 'file_search' }), ['file_search']],
    [tool({ type: 'code_interpreter', container: { type: 'auto' } }), ['code_interpreter']],
    [
      tool({ type: 'code_interpreter', container: { type: 'auto', memory_limit: '4g' } }),
      ['code_interpreter', 'container_4g'],
    ],
    [tool({ type: 'code_interpreter', container: 'cntr_1' }), ['code_interpreter']],
    [tool({ type: 'shell', container: { type: 'local' } }), ['shell']],
    [tool({ type: 'shell', environment: { type: 'container_auto', memory_limit: '64g' } }), ['shell', 'container_64g']],
    [tool({ type: 'mcp', server_url: 'https://x' }), ['mcp']],
    [tool({ type: 'computer' }), ['computer']],
    [tool({ type: 'computer_use_preview', environment: 'local' }), ['computer_use_preview']],
    [tool({ type: 'image_generation' }), ['image_generation']],
    [tool({ type: 'programmatic_tool_calling' }), ['programmatic_tool_calling']],
    [tool({ type: 'x_search' }), ['x_search']],
    [tool({ type: 'shell' }), ['shell']],
    [tool({ type: 'shell', environment: { type: 'container_auto' } }), ['shell']],
    [tool({ type: 'tool_search' }), ['tool_search']],
    [tool({ type: 'tool_search', execution: 'server' }), ['tool_search']],
    [tool({ type: 'mcp', execution: 'client', environment: { type: 'local' } }), ['mcp']],
    [tool({ type: 'namespace', tools: [{ type: 'web_search' }] }), ['web_search']],
    [tool({ type: 'function' }, { type: 'mcp' }, { type: 'web_search' }, { type: 'mcp' }), ['mcp', 'web_search']],
    [item({ type: 'additional_tools', role: 'developer', tools: [{ type: 'mcp' }] }), ['mcp']],
    [item({ type: 'tool_search_output', tools: [{ type: 'web_search' }] }), ['web_search']],
    [item({ type: 'compaction_trigger' }), ['compaction_trigger']],
    [{ background: true }, ['background']],
    [{ prompt: { id: 'pmpt_1' } }, ['prompt']],
    [{ context_management: [{ type: 'compaction' }] }, ['context_management']],
    [{ background: false, prompt: null, context_management: null }, []],
  ])('%j cannot be bounded because of %j', (fields, names) => {
    expect(askOf(fields).unbounded).toEqual(names)
  })

  test('names a few tools that cannot be bounded, and cuts their names', () => {
    const { unbounded } = askOf(
      tool(...Array.from({ length: 100 }, (_, index) => ({ type: `${index}${'x'.repeat(100)}` }))),
    )
    expect(unbounded).toHaveLength(8)
    expect(unbounded[0]).toHaveLength(64)
  })

  test.each([
    [{ previous_response_id: 'resp_1' }, true],
    [{ previous_response_id: null }, false],
    [{ conversation: 'conv_1' }, true],
    [{ conversation: { id: 'conv_1' } }, true],
    [{ prompt: { id: 'pmpt_1' } }, true],
    [item({ type: 'item_reference', id: 'msg_1' }), true],
    [item({ id: 'msg_1' }), true],
    [item({ id: 'msg_1', type: null }), true],
    [item({ role: 'assistant', content: [{ type: 'output_text', text: 'a' }, { type: 'refusal' }] }), false],
    [item({ type: 'message', role: 'user', content: 'a' }), false],
    [item({ type: 'function_call_output', output: 'a' }), false],
    [item({ type: 'function_call_output', output: [{ type: 'input_file', file_url: 'https://x' }] }), true],
    [item({ type: 'shell_call_output', output: [{ stdout: 'a', stderr: '' }] }), false],
    [item({ type: 'reasoning', id: 'rs_1', summary: [] }), true],
    [item({ type: 'reasoning', id: 'rs_1', content: [], encrypted_content: null }), true],
    [item({ type: 'reasoning', id: 'rs_1', encrypted_content: '' }), true],
    [item({ type: 'reasoning', id: 'rs_1', encrypted_content: 'gAAAA' }), false],
    [item({ type: 'reasoning', content: [{ type: 'reasoning_text', text: 'a' }], encrypted_content: null }), false],
    [item({ type: 'web_search_call', id: 'ws_1' }), true],
    [item({ type: 'compaction', encrypted_content: 'gAAAA' }), true],
    [item({ type: 'something_new', content: 'a' }), true],
    [says({ type: 'input_text', text: 'a' }), false],
    [says({ type: 'input_file', file_id: 'file_1' }), true],
    [says({ type: 'input_file', file_data: 'AAAA' }), true],
    [says({ type: 'input_file', image_url: 'https://x' }), true],
    [says({ type: 'input_audio', input_audio: { data: 'AAAA', format: 'mp3' } }), true],
    [says({ type: 'input_video' }), true],
    [says({ file_id: 'file_1' }), true],
  ])('%j has a size that its bytes do not show: %s', (fields, unsizedInput) => {
    expect(askOf(fields)).toMatchObject({ unsizedInput })
  })

  test('hears sound', () => {
    expect(askOf(says({ type: 'input_audio', input_audio: { data: 'A' } })).audioInput).toBe(true)
  })

  test('counts images and leaves their bytes out, wherever they stand', () => {
    const url = `data:image/png;base64,${'A'.repeat(5_000)}`
    const drawn = 'B'.repeat(5_000)
    const fields = item(
      { role: 'user', content: [{ type: 'input_image', image_url: url, detail: 'auto' }] },
      { role: 'user', content: [{ type: 'input_image', file_id: 'file_1', image_url: null }] },
      { type: 'function_call_output', output: [{ image_url: url, type: 'input_image' }] },
      { type: 'message', role: 'user', content: { type: 'computer_screenshot', image_url: url } },
      { type: 'image_generation_call', id: 'ig_1', result: drawn },
      { type: 'message', role: 'user', content: 'x', result: drawn },
    )
    const bytes = lengthOf({ ...BARE, ...fields }) - 3 * lengthOf(url) - lengthOf(drawn) - lengthOf(null)
    expect(askOf(fields)).toMatchObject({ images: 5, unsizedInput: false, messages: 6, textBytes: bytes })
  })
})

describe('what cannot be metered is refused by the field at fault:', () => {
  test.each([
    [{ model: undefined }, 'model'],
    [{ model: undefined, prompt: { id: 'pmpt_1' } }, 'model'],
    [{ model: '' }, 'model'],
    [{ model: 7 }, 'model'],
    [{ input: { role: 'user' } }, 'input'],
    [{ input: 7 }, 'input'],
    [{ max_output_tokens: 0 }, 'max_output_tokens'],
    [{ max_output_tokens: 1.5 }, 'max_output_tokens'],
    [{ max_output_tokens: '100' }, 'max_output_tokens'],
    [{ Max_Output_Tokens: 9 }, 'max_output_tokens'],
    [{ stream: 'true' }, 'stream'],
    [{ background: 1 }, 'background'],
    [item({ role: 'user', Content: 'a' }), 'content'],
  ])('%j', (fields, param) => {
    expect(() => askOf(fields)).toThrow(expect.objectContaining({ code: 'invalid_request', param }))
  })

  test('two caps', () => {
    expect(() => read('{"model":"m","max_output_tokens":1,"max_output_tokens":9}')).toThrow(/Duplicate/)
  })

  test.each(['', '[]', '{"model":"m"', 'null'])('%j is no request', (text) => {
    expect(() => read(text)).toThrow(expect.objectContaining({ code: 'invalid_json' }))
  })
})

describe('an edit', () => {
  const MEMBERS = [
    ['model', '"gpt-5"'],
    ['input', '[{"content":[{"text":"é"}]}]'],
  ] as const
  const edits = (
    members: (readonly [string, string])[],
    made: Parameters<ReturnType<typeof read>['edit']>[0],
    set: object,
    gone: string,
    added: string,
  ) =>
    fc.assert(
      fc.property(bodies([...MEMBERS, ...members]), (body) => {
        const edited = openaiResponses.readRequest(body, LINE).edit(made)
        expect(JSON.parse(edited.toString())).toEqual({ ...JSON.parse(body.toString()), ...set })
        expect(gone).toContain(diffBytes(body, edited).gone)
        expect(edited.length - body.length).toBe(Buffer.byteLength(added) - Buffer.byteLength(gone))
      }),
    )
  const cap = (field: string) => ({ cap: { field, tokens: 256 } })

  test('of nothing gives the very body', () => {
    const body = Buffer.from(JSON.stringify(BARE))
    expect(openaiResponses.readRequest(body, LINE).edit({})).toBe(body)
    expect(openaiResponses.readRequest(body, LINE).edit({ includeUsage: true })).toBe(body)
  })

  test('replaces the model', () => edits([], { model: 'ü"x' }, { model: 'ü"x' }, '"gpt-5"', '"ü\\"x"'))

  test.each(['max_output_tokens', 'max_completion_tokens', 'max_tokens'])('caps in its one field, not in %s', (field) =>
    edits([], cap(field), { max_output_tokens: 256 }, '', '"max_output_tokens":256,'),
  )

  test.each(['null', '900'])('replaces a cap of %s', (old) =>
    edits([['max_output_tokens', old]], cap('max_tokens'), { max_output_tokens: 256 }, old, '256'),
  )
})

const response = (fields: object) => ({
  object: 'response',
  status: 'completed',
  error: null,
  model: 'gpt-5-2025',
  ...fields,
})
const PLAIN = { input_tokens: 9, output_tokens: 4, total_tokens: 13 }
const detailed = (input: unknown, details: object, output: unknown = 0, fields: object = {}) => ({
  input_tokens: input,
  input_tokens_details: details,
  output_tokens: output,
  output_tokens_details: fields,
})

function whole(document: object) {
  const tap = openaiResponses.createTap(false, 'application/json', false)
  tap.push(Buffer.from(JSON.stringify(document)))
  tap.end()
  return tap
}

describe('a whole answer', () => {
  test.each<[string, unknown, UnitsByClass, number]>([
    ['plain', PLAIN, { input: 9, output: 4 }, 0],
    ['with reasoning inside', detailed(9, {}, 40, { reasoning_tokens: 30 }), { input: 9, output: 40 }, 30],
    ['cached', detailed(100, { cached_tokens: 60 }), { input: 40, cacheRead: 60 }, 0],
    [
      'written to the cache',
      detailed(100, { cached_tokens: 60, cache_write_tokens: 30 }),
      { input: 10, cacheRead: 60, cacheWrite5m: 30 },
      0,
    ],
    [
      'written for half a day',
      detailed(100, {
        cache_write_tokens: 30,
        cache_write_tokens_details: { ttl_30m_tokens: 10, ttl_12h_tokens: 20 },
      }),
      { input: 70, cacheWrite5m: 10, cacheWrite12h: 20 },
      0,
    ],
    ['cached over the input', detailed(10, { cached_tokens: 161, cache_write_tokens: 9 }), { cacheRead: 10 }, 0],
    [
      'spoken',
      detailed(50, { audio_tokens: 20 }, 30, { audio_tokens: 25 }),
      { input: 30, audioInput: 20, output: 5, audioOutput: 25 },
      0,
    ],
    [
      'reasoning in the total alone',
      { input_tokens: 7, output_tokens: 3, total_tokens: 40 },
      { input: 7, output: 33 },
      30,
    ],
  ])('counts what it used: %s', (_name, usage, expected, reasoningTokens) => {
    expect(whole(response({ service_tier: 'flex', usage })).answerUsage()).toEqual({
      usage: usageOf({ ...expected, requests: 1 }),
      reasoningTokens,
      model: 'gpt-5-2025',
      serviceTier: 'flex',
    })
  })

  test('misses the output if half a count is all', () => {
    const usage = usageOf({ input: 7, requests: 1 })
    expect(whole(response({ usage: { input_tokens: 7 } })).answerUsage()).toMatchObject({
      usage,
      isOutputMissing: true,
    })
  })

  const anything = fc.oneof(fc.nat(1_000), fc.integer(), fc.constantFrom(null, '7', [], {}, true), fc.double())

  test('adds up to the totals, whatever the details say', () => {
    const details = fc.record({ cached_tokens: anything, cache_write_tokens: anything, audio_tokens: anything })
    fc.assert(
      fc.property(fc.nat(1_000), details, fc.nat(1_000), details, (input, inside, output, fields) => {
        const usage =
          whole(response({ usage: detailed(input, inside, output, fields) })).answerUsage()?.usage ?? usageOf()
        expect([inputTokens(usage), outputTokens(usage)]).toEqual([input, output])
        expect(minUnits(usage)).toBeGreaterThanOrEqual(0)
      }),
    )
  })

  test.each([
    ['that goes on in the background', { status: 'queued', usage: null }, true],
    ['without usage', {}, true],
    ['with usage that counts nothing', { usage: {} }, true],
    ['that failed', { status: 'failed', usage: null }, false],
    ['with an error', { error: { code: 'server_error' } }, false],
  ])('has no usage %s', (_name, fields, finished) => {
    const tap = whole(response(fields))
    expect([tap.answerUsage(), tap.finished]).toEqual([undefined, finished])
  })

  test('that failed has the usage it says', () => {
    const tap = whole(response({ status: 'failed', error: { code: 'server_error' }, usage: PLAIN }))
    expect([tap.answerUsage()?.usage.input, tap.finished, tap.failed]).toEqual([9, false, true])
  })

  test('is not fooled by what it repeats of the request', () => {
    const fields = {
      metadata: { usage: { input_tokens: 999 } },
      tools: [{ parameters: { usage: { input_tokens: 998 } } }],
    }
    expect(whole(response(fields)).answerUsage()).toBeUndefined()
  })

  const search = (action?: string) => ({ type: 'web_search_call', ...(action ? { action: { type: action } } : {}) })
  test.each([
    ['its output', { output: [search('search'), search(), { type: 'message' }, search('search')] }, 3],
    ['its output, opened pages aside', { output: [search('open_page'), search('find_in_page'), search('search')] }, 1],
    ['what is billed', { output: [search('search')], tool_usage: { web_search: { num_requests: 4 } } }, 4],
    ['its output, when less is counted', { output: [search()], tool_usage: { web_search: { num_requests: 0 } } }, 1],
    [
      "xAI's own count",
      { usage: { ...PLAIN, server_side_tool_usage_details: { web_search_calls: 2, x_search_calls: 3 } } },
      5,
    ],
    ['nonsense', { output: 'search', tool_usage: [{ web_search: 7 }] }, 0],
  ])('counts searches by %s', (_name, fields, webSearches) => {
    const usage = whole(response({ usage: PLAIN, ...fields })).answerUsage()?.usage ?? usageOf()
    expect([unitsOf(usage, 'webSearches'), usage.input]).toEqual([webSearches, 9])
  })

  const drawn = {
    input_tokens: 50,
    input_tokens_details: { image_tokens: 40, text_tokens: 10 },
    output_tokens: 300,
    output_tokens_details: { image_tokens: 290, text_tokens: 10 },
  }
  test.each([
    [
      'the model that draws',
      [
        { type: 'function', model: 'x' },
        { type: 'image_generation', model: 'gpt-image-2' },
      ],
      'gpt-image-2',
    ],
    ['the usual one', [{ type: 'image_generation' }], 'gpt-image-1'],
  ])('counts what was drawn apart, by %s', (_name, tools, model) => {
    const metered = whole(response({ usage: PLAIN, tools, tool_usage: { image_gen: drawn } })).answerUsage()
    expect(metered?.usage).toEqual(usageOf({ input: 9, output: 4, requests: 1 }))
    const usage = usageOf({ input: 10, imageInput: 40, output: 10, imageOutput: 290 })
    expect(metered?.otherUsage).toEqual([{ usage, model, isTool: true }])
  })

  test.each(BILLED)('counts what is billed by the piece: %s', (_name, fields, counts) => {
    const metered = whole(response({ usage: PLAIN, ...fields })).answerUsage()
    expect(metered?.usage).toEqual(usageOf({ input: 9, output: 4, requests: 1, ...counts }))
    expect(metered?.otherUsage).toBeUndefined()
  })

  test('counts nothing apart where nothing was drawn', () => {
    expect(
      whole(response({ usage: PLAIN, tool_usage: { image_gen: { input_tokens: 0 } } })).answerUsage()?.otherUsage,
    ).toBeUndefined()
  })
})

const event = (type: string, fields: object) => `event: ${type}\ndata: ${JSON.stringify({ type, ...fields })}\n\n`
const begun = event('response.created', {
  response: response({ status: 'in_progress', usage: null }),
  sequence_number: 0,
})
const delta = (words: string) => event('response.output_text.delta', { delta: words, obfuscation: 'x' })
const done = (type: string, fields: object = {}) => event(type, { sequence_number: 9, response: response(fields) })
const COMPLETED = done('response.completed', { usage: PLAIN })
const FAILED = done('response.failed', { status: 'failed', error: { code: 'server_error' }, usage: null })
const ERROR = event('error', { error: { code: 'server_error', message: 'x' }, sequence_number: 3 })
const WORDS = `${COMPLETED}"response.completed" "response.failed" {"type":"error","error":{}}\n\ndata: [DONE]\n\n`
const USED = { input: 9, output: 4 }

describe('what is billed by the piece in a stream', () => {
  const told = (place: number, outputItem: object) =>
    event('response.output_item.added', { output_index: place, item: outputItem }) +
    event('response.output_item.done', { output_index: place, item: outputItem })
  const ITEMS = [
    fileSearch('fs_1'),
    code('a'),
    { type: 'message', id: 'msg_1' },
    fileSearch('fs_2'),
    code('a'),
    SEARCHED,
  ]
  const DONE_ITEMS = ITEMS.map((outputItem, place) => told(place, outputItem)).join('')
  const USED_TOO = { fileSearches: 2, containerGigabytes: 1, webSearches: 1 }

  test.each<[string, string, object]>([
    ['its last event', done('response.completed', { output: ITEMS, usage: PLAIN }), USED_TOO],
    ['every event', DONE_ITEMS + done('response.completed', { output: ITEMS, usage: PLAIN }), USED_TOO],
    [
      'every event, twice',
      DONE_ITEMS + DONE_ITEMS + done('response.completed', { output: ITEMS, usage: PLAIN }),
      USED_TOO,
    ],
    ['all but the last', DONE_ITEMS + done('response.completed', { output: [], usage: PLAIN }), USED_TOO],
    ['events that cannot be read', `${told(0, { type: 7, id: {}, environment: 'x' })}${COMPLETED}`, {}],
    ['items only begun', event('response.output_item.added', { item: fileSearch('fs_9') }) + COMPLETED, {}],
  ])('counts once, where it stands in %s', (_name, text, expected) => {
    for (const size of [1, 7, 1_000, text.length]) {
      const tap = openaiResponses.createTap(true, 'text/event-stream', false)
      feed(tap, bytewise(Buffer.from(text), size))
      expect(tap.answerUsage()?.usage.rare).toEqual(expected)
    }
  })

  test('without ids counts by its place', () => {
    const items = [{ type: 'file_search_call' }, { type: 'file_search_call' }]
    const text = items.map((outputItem, place) => told(place, outputItem)).join('')
    const tap = openaiResponses.createTap(true, 'text/event-stream', false)
    feed(tap, [Buffer.from(text + done('response.completed', { output: items, usage: PLAIN }))])
    expect(tap.answerUsage()?.usage.rare).toEqual(files(2))
  })

  test('is counted up to a bound, in little memory', () => {
    const tap = openaiResponses.createTap(true, 'text/event-stream', false)
    for (let index = 0; index < 10_100; index++)
      tap.push(Buffer.from(event('response.output_item.done', { item: fileSearch(`${index}${'x'.repeat(1_000)}`) })))
    tap.push(Buffer.from(COMPLETED))
    expect(tap.answerUsage()?.usage.rare).toEqual(files(10_000))
  })
})

const STREAMS: readonly Stream[] = [
  { name: 'a whole one', text: `${begun}${delta('Hé')}${COMPLETED}`, usage: USED, ends: [true, true, false] },
  { name: 'CRLF', text: `${begun}${COMPLETED}`.replaceAll('\n', '\r\n'), usage: USED, ends: [true, true, false] },
  {
    name: 'one with the type at the end',
    text: `data: ${JSON.stringify({ response: response({ usage: PLAIN }), type: 'response.completed' })}\n\n`,
    usage: USED,
    ends: [true, true, false],
  },
  { name: 'a [DONE] after it', text: `${COMPLETED}data: [DONE]\n\n`, usage: USED, ends: [true, true, false] },
  { name: 'a comment after it', text: `${COMPLETED}: bye\n`, usage: USED, ends: [true, true, false] },
  { name: 'no line feed at the end', text: `${begun}${COMPLETED.trimEnd()}`, usage: USED, ends: [true, true, false] },
  {
    name: 'one that is cut short by its cap',
    text: `${begun}${done('response.incomplete', { usage: PLAIN })}`,
    usage: USED,
    ends: [true, true, false],
  },
  { name: 'one without usage', text: `${begun}${done('response.completed')}`, usage: null, ends: [true, true, false] },
  { name: 'a [DONE] alone', text: `${begun}data: [DONE]\n\n`, usage: null, ends: [true, true, false] },
  { name: 'a failure', text: `${begun}${FAILED}`, usage: null, ends: [false, true, true] },
  {
    name: 'a failure that says what it used',
    text: done('response.failed', { status: 'failed', usage: PLAIN }),
    usage: USED,
    ends: [false, true, true],
  },
  { name: 'an error', text: `${begun}${ERROR}`, usage: null, ends: [false, false, true] },
  { name: 'an error, and a failure', text: `${ERROR}${FAILED}`, usage: null, ends: [false, true, true] },
  { name: 'an error and a [DONE]', text: `${ERROR}data: [DONE]\n\n`, usage: null, ends: [false, true, true] },
  {
    name: 'an error as it is documented',
    text: event('error', { code: 'x', message: 'y', param: null }),
    usage: null,
    ends: [false, false, true],
  },
  {
    name: 'an error without a type',
    text: `${event('response.in_progress', { error: null })}data: {"error":{"message":"y"}}\n\n`,
    usage: null,
    ends: [false, false, true],
  },
  { name: 'no error', text: event('response.in_progress', { error: null }), usage: null, ends: [false, false, false] },
  { name: 'a cut in the middle', text: `${begun}${delta('Hé')}`, usage: null, ends: [false, false, false] },
  { name: 'words that look like all of it', text: `${begun}${delta(WORDS)}`, usage: null, ends: [false, false, false] },
  {
    name: 'an item of the same name below the top level',
    text: event('response.output_item.done', { item: { type: 'response.completed', response: { usage: PLAIN } } }),
    usage: null,
    ends: [false, false, false],
  },
  {
    name: 'a last event that cannot be read',
    text: `${event('response.completed', {}).replace('}', ',"response":{"usage":{},"usage":{}}}')}`,
    usage: null,
    ends: [true, true, false],
  },
  {
    name: 'a last event of 120 kB',
    text: `${begun}${done('response.completed', { output: [{ text: '"é\n'.repeat(20_000) }], usage: PLAIN })}`,
    usage: USED,
    ends: [true, true, false],
  },
  { name: 'nothing', text: '', usage: null, ends: [false, false, false] },
]

describe.each(STREAMS)('of a stream: $name', ({ text, usage, ends }) => {
  const bytes = Buffer.from(text)
  const tap = (hides = false) => openaiResponses.createTap(true, 'text/event-stream; charset=utf-8', hides)

  test.each([1, 2, 3, 7, 64, 1_000, 16_384, bytes.length + 1])(
    'everything is read and passed on, %d bytes at a time',
    (size) => {
      for (const hides of [false, true])
        expect(feed(tap(hides), bytewise(bytes, size))).toEqual({ out: bytes, usage, ends })
    },
  )

  // The relay waits for the blank line that follows: see test/call/streams.test.ts.
  test('it has ended as soon as the line of its last event has passed, and no byte sooner', () => {
    const end = text.search(/(?<="type":"response\.(completed|incomplete|failed)".*\r?\n)/)
    if (!ends[1] || end < 0) return
    const heard = tap()
    const cut = [...text].findIndex((character) => {
      heard.push(Buffer.from(character))
      return heard.terminated
    })
    expect(cut + 1).toBe([...text.slice(0, end)].length)
  })
})

test.each([1_000, 16_384, 65_536, 10_000_000])(
  'images longer than any line that is kept cost no usage, %d bytes at a time',
  (size) => {
    const image = 'iVBORw0KGgo+/'.repeat(100_000)
    const output = [
      { type: 'image_generation_call', result: image },
      { text: '"é\n\\'.repeat(9_000) },
      { type: 'web_search_call' },
    ]
    const partial = event('response.image_generation_call.partial_image', { partial_image_b64: image })
    const bytes = Buffer.from(`${begun}${partial}${done('response.completed', { output, usage: PLAIN })}`)
    const heard = feed(openaiResponses.createTap(true, 'text/event-stream', false), bytewise(bytes, size))
    expect(heard.out.equals(bytes)).toBe(true)
    expect([heard.usage, heard.ends]).toEqual([{ ...USED, webSearches: 1 }, [true, true, false]])
  },
)

test.skipIf(!HAS_SHARED_RECORDINGS)(
  'answers that were recorded have what they searched and ran (../shared/recordings)',
  () => {
    const found = recordingsOf('openai.responses').flatMap(({ file, stream, response: { body } }) => {
      const tap = openaiResponses.createTap(stream, stream ? 'text/event-stream' : 'application/json', false)
      feed(tap, [Buffer.from(body)])
      const { fileSearches, containerGigabytes, codeRuns } = tap.answerUsage()?.usage.rare ?? {}
      const counts = Object.entries({ fileSearches, containerGigabytes, codeRuns }).filter(([, units]) => units)
      return counts.map(([name, units]) => `${file}: ${units} ${name}`)
    })
    expect(found.toSorted()).toEqual([
      'azure-responses-json-200-gpt-5-mini-afcb9bf8.json: 1 fileSearches',
      'azure-responses-json-200-gpt-5-mini-e21b02f3.json: 1 fileSearches',
      'openai-responses-json-200-gpt-5-2-2e741781.json: 1 containerGigabytes',
      'openai-responses-sse-200-gpt-5-c4dff249.json: 1 containerGigabytes',
      'xai-responses-json-200-grok-4-fast-reasoning-b9837128.json: 1 codeRuns',
    ])
  },
)

describe('what the gateway says itself', () => {
  const refusal = refusalAt(levelOf('requests', 60n, 0n, 1_500), 1n, 'time')
  const levels = [levelOf('requests', 60n, 59n, 1_000)]
  const problem = new Problem('upstream_failed', 'It broke off.')

  test('is reported as in chat', () => {
    const [own, chat]: [string[], string[]] = [[], []]
    openaiResponses.addRateHeaders(levels, NOW_MS, own)
    openaiChat.addRateHeaders(levels, NOW_MS, chat)
    expect(own).toEqual(chat)
    expect(openaiResponses.refusalBody(refusal, CONTEXT)).toBe(openaiChat.refusalBody(refusal, CONTEXT))
    expect(openaiResponses.problemBody(problem, CONTEXT)).toBe(openaiChat.problemBody(problem, CONTEXT))
  })

  test('is an error event in the middle of a stream, in both of its shapes', () => {
    const text = openaiResponses.streamError(problem, CONTEXT, 'text/event-stream')
    expect(JSON.parse(/^event: error\ndata: (.*)\n\n$/.exec(text)?.[1] ?? '')).toEqual({
      type: 'error',
      code: 'upstream_failed',
      message: 'It broke off.',
      param: null,
      sequence_number: 0,
      error: {
        type: 'server_error',
        code: 'upstream_failed',
        message: 'It broke off.',
        param: null,
        call_id: '019a-call',
      },
    })
    expect(feed(openaiResponses.createTap(true, 'text/event-stream', false), [Buffer.from(text)]).ends).toEqual([
      false,
      false,
      true,
    ])
  })
})

test('it is asked at /v1/responses, and asks the provider at /responses', () => {
  expect(dialectAt('/v1/responses')).toBe(openaiResponses)
  expect(dialectAt('/v1/responses/resp_1')).toBeUndefined()
  expect(nearestDialect('/v1/responses/resp_1').name).toMatch(/^openai/)
  expect(dialectNamed('openai.responses')).toBe(openaiResponses)
  expect(openaiResponses.upstreamPath('m', lineTo('/v1/responses', 'key=secret&beta=1'))).toBe('/responses?beta=1')
})
