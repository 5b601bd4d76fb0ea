// Anthropic messages: what of a request changes its quote, however deep it stands, and the few bytes that edits touch.

import fc from 'fast-check'
import { describe, expect, test } from 'vitest'
import { anthropicMessages } from '../../../src/wire/anthropic/messages.ts'
import { newDraft } from '../../../src/wire/request-reader.ts'
import { bodies, diffBytes, lineTo } from '../samples.ts'

const LINE = lineTo('/v1/messages')
const BARE = { model: 'claude-sonnet-5', max_tokens: 100, messages: [{ role: 'user', content: 'Hi' }] }
const read = (body: unknown) =>
  anthropicMessages.readRequest(Buffer.from(typeof body === 'string' ? body : JSON.stringify(body)), LINE)
const askOf = (fields: object) => read({ ...BARE, ...fields }).facts
const says = (...content: object[]) => ({ messages: [{ role: 'user', content }] })
const lengthOf = (value: unknown) => Buffer.byteLength(JSON.stringify(value))
const EPHEMERAL = { cache_control: { type: 'ephemeral' } }
const ONE_HOUR_CACHE = { cache_control: { type: 'ephemeral', ttl: '1h' } }
const FIVE_MINUTE_CACHE = { cache_control: { ttl: '5m' } }
const COMPACT = 'compact_20260112'
const manages = (...types: string[]) => ({ context_management: { edits: types.map((type) => ({ type })) } })

describe('the ask', () => {
  test('of a bare call is its model, its cap, its bytes and its messages', () => {
    expect(read(BARE).facts).toEqual({
      ...newDraft(lengthOf(BARE)),
      depth: 3,
      model: 'claude-sonnet-5',
      messages: 1,
      outputCap: 100,
    })
  })

  test.each([
    ['no cap', { max_tokens: undefined }, { outputCap: null }],
    ['a cap of null', { max_tokens: null }, { outputCap: null }],
    ['a cap of 0, which fills the cache', { max_tokens: 0 }, { outputCap: 0 }],
    ['stream', { stream: true }, { stream: true }],
    ['a user', { metadata: { user_id: 'alice', x: 1 } }, { user: 'alice' }],
    ['a user of null', { metadata: { user_id: null } }, { user: null }],
    ['metadata of null', { metadata: null }, { user: null }],
    ['a service tier', { service_tier: 'standard_only' }, { serviceTier: 'standard_only' }],
    ['fast speed, which has a price of its own', { speed: 'fast', service_tier: 'auto' }, { serviceTier: 'fast' }],
    ['inference in the US', { inference_geo: 'us' }, { serviceTier: 'us' }],
    ['both', { inference_geo: 'us', speed: 'fast' }, { serviceTier: 'fast+us' }],
    ['the usual speed', { speed: 'standard', inference_geo: 'global' }, { serviceTier: null }],
    ['a tool', { tools: [{ name: 'f', input_schema: {} }] }, { tools: true, unbounded: [] }],
    ['a tool run by the client', { tools: [{ type: 'bash_20250124', name: 'bash' }] }, { tools: true, unbounded: [] }],
    ['no tools', { tools: [] }, { tools: false }],
    ['MCP servers', { mcp_servers: [{ url: 'https://x' }] }, { unbounded: ['mcp_servers'] }],
    ['no MCP servers', { mcp_servers: [] }, { unbounded: [] }],
    ['a container', { container: 'c_1' }, { unbounded: ['container'] }],
    ['a container of null', { container: null }, { unbounded: [] }],
    ['fallbacks', { fallbacks: [{ model: 'x' }] }, { unbounded: ['fallbacks'] }],
    ['fallbacks of the provider', { fallbacks: 'default' }, { unbounded: ['fallbacks'] }],
    ['no fallbacks', { fallbacks: null }, { unbounded: [] }],
    ['compaction at once', { compaction: { type: 'summarize' } }, { unbounded: ['compaction'] }],
    ['compaction when it is due', manages('clear_thinking_20251015', COMPACT), { unbounded: [COMPACT] }],
    ['context that is only cleared', manages('clear_tool_uses_20250919'), { unbounded: [] }],
    ['an unknown edit of the context', manages('dream_20270101'), { unbounded: ['dream_20270101'] }],
    ['context management of nothing', { context_management: { edits: [] } }, { unbounded: [] }],
    ['context management of null', { context_management: null }, { unbounded: [] }],
    ['a new thread', { thread: { type: 'create' } }, { unsizedInput: false }],
    ['no thread', { thread: null }, { unsizedInput: false }],
    [
      'a thread that goes on',
      { thread: { previous_message_id: 'm', type: 'continue' } },
      { unsizedInput: true, uncountableInput: true },
    ],
    ['several messages', { messages: [{ content: 'a' }, { content: [] }, {}, null] }, { messages: 3 }],
  ])('with %s', (_name, fields, expected) => {
    expect(askOf(fields)).toMatchObject(expected)
  })

  test.each([
    'web_search_20250305',
    'web_fetch_20250910',
    'code_execution_20250825',
    'tool_search_tool_regex_20251119',
    'mcp_toolset',
    'advisor_20260301',
    'not_known_20270101',
  ])('with the hosted tool %s has no bound', (type) => {
    expect(askOf({ tools: [{ name: 'f' }, { type }] })).toMatchObject({ tools: true, unbounded: [type] })
    const definition = { type: 'tool_definition', definition: { name: 'x', type } }
    const added = says({ type: 'tool_addition', tool: definition })
    expect(askOf(added), 'in the middle of a conversation').toMatchObject({ tools: true, unbounded: [type] })
  })

  test.each([
    ['bash_20250124', 1_500],
    ['text_editor_20250728', 1_500],
    ['computer_20251124', 1_500],
    ['memory_20250818', 1_500],
    ['browser_toolset_20260801', 10_000],
    ['computer_toolset_20260801', 10_000],
    ['custom', 0],
    [null, 0],
  ])("the caller's tool %s has a bound, with room for a description that the body does not hold", (type, room) => {
    const fields = { tools: [{ type, name: 'f' }] }
    const textBytes = lengthOf({ ...BARE, ...fields })
    expect(askOf(fields)).toMatchObject({ tools: true, unbounded: [], textBytes, addedTokens: room })
  })

  test('a tool that is only named has been counted where it stands', () => {
    const tool = { type: 'tool_reference', name: 'web_search' }
    expect(askOf(says({ type: 'tool_removal', tool }, { type: 'tool_addition', tool: null }))).toMatchObject({
      tools: false,
      unbounded: [],
    })
  })

  test('names few of the things that have no bound, once each and briefly', () => {
    const typed = (kinds: number) =>
      Array.from({ length: 100 }, (_, each) => ({ type: `${each % kinds}-${'x'.repeat(100)}` }))
    const { unbounded } = askOf({ tools: typed(50) })
    expect(unbounded).toHaveLength(8)
    expect(askOf({ tools: typed(3) }).unbounded).toHaveLength(3)
    expect(Math.max(...unbounded.map((name) => name.length))).toBe(64)
  })

  test.each([
    ['output-300k-2026-03-24', ['output-300k-2026-03-24']],
    ['context-1m-2025-08-07, output-300k-2026-03-24,x', ['output-300k-2026-03-24']],
    ['interleaved-thinking-2025-05-14,context-management-2025-06-27,compact-2026-01-12', []],
  ])('with the betas %s', (betas, unbounded) => {
    const header = (name: string) => (name === 'anthropic-beta' ? betas : undefined)
    const { facts } = anthropicMessages.readRequest(Buffer.from(JSON.stringify(BARE)), { ...LINE, header })
    expect(facts.unbounded).toEqual(unbounded)
  })

  test.each([
    ['nowhere', {}, 'none'],
    ['at the top', EPHEMERAL, '5m'],
    ['as null', { cache_control: null }, 'none'],
    ['in a system block', { system: [{ type: 'text', text: 'a', ...EPHEMERAL }] }, '5m'],
    ['in a tool', { tools: [{ name: 'f', ...FIVE_MINUTE_CACHE }] }, '5m'],
    ['in a message', says({ type: 'text', text: 'a', ...EPHEMERAL }), '5m'],
    ['in a tool result', says({ type: 'tool_result', content: [{ type: 'text', text: 'a', ...EPHEMERAL }] }), '5m'],
    ['for an hour', says({ type: 'text', text: 'a', ...ONE_HOUR_CACHE }), '1h'],
    ['for an hour and then for less', { ...ONE_HOUR_CACHE, system: [{ type: 'text', text: 'a', ...EPHEMERAL }] }, '1h'],
    [
      'for less and then for an hour',
      { ...says({ type: 'text', ...EPHEMERAL }), tools: [{ name: 'f', ...ONE_HOUR_CACHE }] },
      '1h',
    ],
    [
      'only in words',
      { system: '"cache_control":{"ttl":"1h"}', ...says({ type: 'text', text: '{"ttl":"1h"}' }) },
      'none',
    ],
    ['only in what a tool was given', says({ type: 'tool_use', input: ONE_HOUR_CACHE }), 'none'],
  ])('writes the cache where cache_control stands %s', (_name, fields, cacheWrite) => {
    expect(askOf(fields).cacheWrite).toBe(cacheWrite)
  })

  const inline = { type: 'base64', media_type: 'image/png', data: 'A'.repeat(4_000) }
  const image = { type: 'image', source: inline }

  test.each([
    ['in a message', says(image, { type: 'text', text: 'a' }), 1],
    ['with its type last', says({ source: inline, type: 'image' }), 1],
    [
      'in tool results, nested',
      says({ type: 'tool_result', content: [image, { type: 'tool_result', content: [image] }] }),
      2,
    ],
    ['in the system prompt', { system: [image] }, 1],
  ])('counts an image %s and leaves its bytes out', (_name, fields, images) => {
    const bytes = lengthOf({ ...BARE, ...fields })
    expect(askOf(fields)).toMatchObject({ images, textBytes: bytes - images * lengthOf(inline), unsizedInput: false })
  })

  test('counts an image by its address or its file as one, too', () => {
    const fields = says(
      { type: 'image', source: { type: 'url', url: 'https://x' } },
      { type: 'image', source: { file_id: 'f' } },
    )
    expect(askOf(fields)).toMatchObject({ images: 2, unsizedInput: false })
  })

  test.each([
    ['a document', { type: 'document', source: inline }],
    ['a document in a tool result', { type: 'tool_result', content: [{ type: 'document', source: inline }] }],
    [
      'a document that was fetched',
      { type: 'web_fetch_tool_result', content: { type: 'web_fetch_result', content: { type: 'document' } } },
    ],
    ['a file for a container', { type: 'container_upload', file_id: 'f' }],
  ])('with %s has no size', (_name, part) => {
    expect(askOf(says(part))).toMatchObject({ unsizedInput: true, images: 0 })
  })

  const content = (...blocks: object[]) => ({ type: 'document', source: { type: 'content', content: blocks } })
  const url = { type: 'url', url: 'https://x' }
  test.each<[string, object, boolean]>([
    ['a document in the request', { type: 'document', source: inline }, false],
    ['a text', { type: 'document', source: { type: 'text', media_type: 'text/plain', data: 'a' } }, false],
    ['an uploaded document', { type: 'document', source: { type: 'file', file_id: 'f' } }, false],
    ['blocks', content({ type: 'text', text: 'a' }, image), false],
    ['an uploaded image', { type: 'image', source: { type: 'file', file_id: 'f' } }, false],
    ['a document behind a URL', { type: 'document', source: url }, true],
    [
      'a document in a tool result behind a URL',
      { type: 'tool_result', content: [{ type: 'document', source: url }] },
      true,
    ],
    ['an image behind a URL', { type: 'image', source: url }, true],
    ['an image behind a URL in blocks', content({ type: 'text', text: 'a' }, { type: 'image', source: url }), true],
    ['blocks in blocks', content({ type: 'document', source: { type: 'content', content: [{ source: url }] } }), true],
    ['a source of no known kind', { type: 'document', source: { type: 'new' } }, true],
    ['a source of no kind', { type: 'document', source: { data: 'a' } }, true],
    ['a source that is no object', { type: 'document', source: 'https://x' }, true],
    ['no source', { type: 'document' }, true],
    ['a file for a container', { type: 'container_upload', file_id: 'f' }, true],
    ['a search result', { type: 'search_result', source: 'https://x', content: [] }, false],
  ])('with %s can change before the call, or not', (_name, part, uncountableInput) => {
    expect(askOf(says(part)).uncountableInput).toBe(uncountableInput)
  })

  test('keeps the bytes of a source that is no media', () => {
    const fields = says({
      type: 'search_result',
      source: 'https://x',
      title: 't',
      content: [{ type: 'text', text: 'a' }],
    })
    expect(askOf(fields).textBytes).toBe(lengthOf({ ...BARE, ...fields }))
  })

  test('grows by what normalisation makes of the text', () => {
    const fields = says({ type: 'text', text: '\ufdfa' })
    expect(askOf(fields).textBytes).toBe(lengthOf({ ...BARE, ...fields }) + 30)
  })
})

describe('what cannot be metered is refused by the field at fault:', () => {
  test.each([
    [{ model: undefined }, 'model'],
    [{ model: null }, 'model'],
    [{ messages: {} }, 'messages'],
    [{ max_tokens: -1 }, 'max_tokens'],
    [{ max_tokens: '100' }, 'max_tokens'],
    [{ max_tokens: 0.5 }, 'max_tokens'],
    [{ max_tokens: 1e100 }, 'max_tokens'],
    [{ max_tokens: true }, 'max_tokens'],
    [{ stream: 'yes' }, 'stream'],
    [{ Max_Tokens: 5 }, 'max_tokens'],
    [{ Tools: [] }, 'tools'],
    [says({ Type: 'image' }), 'type'],
    [{ tools: [{ TYPE: 'web_search_20250305' }] }, 'type'],
    [{ cache_control: { TTL: '1h' } }, 'ttl'],
  ])('%j', (fields, param) => {
    expect(() => askOf(fields)).toThrow(expect.objectContaining({ code: 'invalid_request', param }))
  })

  test('a field that comes twice, at any depth', () => {
    for (const text of [
      '{"model":"m","max_tokens":1,"max_tokens":9}',
      '{"model":"m","messages":[{"content":[{"type":"text","type":"image"}]}]}',
      '{"model":"m","system":[{"cache_control":{"ttl":"5m","ttl":"1h"}}]}',
      '{"model":"m","tools":[{"type":"x","\\u0074ype":"web_search"}]}',
    ])
      expect(() => read(text), text).toThrow(/Duplicate field/)
  })

  test('content nested beyond reason', () => {
    const deep = `{"model":"m","messages":[{"content":${'[{"content":'.repeat(100_000)}`
    expect(() => read(deep)).toThrow(expect.objectContaining({ code: 'invalid_json' }))
  })
})

describe('an edit', () => {
  const MODEL = ['model', '"claude-sonnet-5"'] as const
  const MESSAGES = ['messages', '[{"content":[{"type":"text","text":"é"}]}]'] as const

  test('of nothing gives the very body', () => {
    const body = Buffer.from(JSON.stringify(BARE))
    expect(anthropicMessages.readRequest(body, LINE).edit({ includeUsage: true })).toBe(body)
  })

  test.each([
    ['the model', [], { model: 'm"ü' }, { model: 'm"ü' }, '"claude-sonnet-5"', '"m\\"ü"'],
    ['no cap', [], { cap: { field: 'max_tokens', tokens: 7 } }, { max_tokens: 7 }, '', '"max_tokens":7,'],
    [
      'a cap of null',
      [['max_tokens', 'null']],
      { cap: { field: 'max_tokens', tokens: 7 } },
      { max_tokens: 7 },
      'null',
      '7',
    ],
    ['a cap', [['max_tokens', '4096']], { cap: { field: 'max_tokens', tokens: 7 } }, { max_tokens: 7 }, '4096', '7'],
  ] as const)('of %s touches nothing beside it', (_name, members, made, set, gone, added) => {
    fc.assert(
      fc.property(bodies([MODEL, MESSAGES, ...members]), (body) => {
        const edited = anthropicMessages.readRequest(body, LINE).edit(made)
        expect(JSON.parse(edited.toString())).toEqual({ ...JSON.parse(body.toString()), ...set })
        expect(gone).toContain(diffBytes(body, edited).gone)
        expect(edited.length - body.length).toBe(Buffer.byteLength(added) - Buffer.byteLength(gone))
        expect(anthropicMessages.readRequest(edited, LINE).edit(made).equals(edited), 'edited twice').toBe(true)
      }),
    )
  })
})
