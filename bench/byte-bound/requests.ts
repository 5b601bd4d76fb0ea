// Requests: random requests of text and function tools, and changes to them. Their parts are chosen for what can become more tokens
// than bytes. Reads no clock and no global randomness: a seed gives the same requests again.

import { type JsonNode, list, type Member, object, text, word, written } from './json-text.ts'

export interface Tool {
  readonly name: string
  readonly description: string | null
  readonly parameters: JsonNode
}

/** A turn of the conversation. A call is the model's call of a tool, and the tool's result. */
export type Turn =
  | { readonly kind: 'said'; readonly value: string; readonly escaped: boolean }
  | { readonly kind: 'call'; readonly name: string; readonly input: JsonNode; readonly result: string }

/** A request in no dialect yet. Users and models take turns, and a user begins. */
export interface DraftRequest {
  readonly system: string | null
  readonly turns: readonly Turn[]
  readonly tools: readonly Tool[]
}

/** Characters of many scripts; those that normalisation takes apart; controls, combining marks, and emoji of several parts. */
const ALPHABETS: readonly string[] = [
  'abcdefghijklmnopqrstuvwxyz',
  'The quick brown fox jumps over the lazy dog. ',
  '0123456789',
  '0 1 2 3 4 5 6 7 8 9 ',
  ' \n\t',
  'a\n',
  '{}[]<>&|"\'\\/:;,.!?#$%^*()_-+=~`@',
  '\u0000\u0001\u0007\b\u000b\f\u001b\u007f\u0080\u0085\u009f\u00a0\u00ad',
  'äöüßéèçñøåþðæ',
  'АБВГДежзийклмнопрст',
  'αβγδεζηθΐΰᾳᾼ῾',
  'אבגדהوزحطيكلم',
  'अआइईउऊऋऌ\u0958\u0959\u095a\u095b\u095c\u095d\u095e\u095f',
  '\u0344\u0385\u0390\u03b0\u1fc1\u1fcd\u1fee\u0340\u0341\u0374',
  '\u0f43\u0f4d\u0f52\u0f57\u0f5c\u0f69\u0f73\u0f75\u0f76\u0f78\u0f81\u0f93\u0f9d\u0fa2\u0fa7\u0fac\u0fb9',
  '\u{1d15e}\u{1d15f}\u{1d160}\u{1d161}\u{1d162}\u{1d163}\u{1d164}\u{1d1bb}\u{1d1bc}\u{1d1bd}',
  '\ufb1d\ufb1f\ufb2a\ufb2b\ufb2c\ufb2d\ufb2e\ufb2f\ufb4e\u2adc',
  '\ufdfa\ufdfb\ufb03\ufb04\u3300\u3316\u334d\u33ff\u2a74\u2a0c\u1f86',
  '\u0300\u0301\u0323\u0327\u0345\u0591\u05bc\u064b\u0e48\u20d0\u3099',
  '一二三四五六七八九十龘靐齉鱻',
  'ひらがなカタカナ가각힣각',
  'ก็ข้อความไทยមខ្មែរမြန်မာ',
  '🙂👍🏽👨‍👩‍👧‍👦🏳️‍🌈🇩🇪\u{e0001}\u{1f9ff}',
  '\u200b\u200c\u200d\u200e\u202e\u2028\u2029\u2060\ufeff\ufff9\ufffd',
  '\u{10000}\u{10fffd}\u{20000}\u{2f800}\u{2fa1d}\ue000\uf8ff\ufffe',
]

/** Numbers that servers can write longer than they came, and short ones. */
const NUMBERS: readonly string[] = [
  ...['0', '1', '7', '9', '-1', '10', '42', '100', '999', '1000', '0.5', '1.0', '-0.0', '3.14159', '1234567890'],
  ...['1e15', '1E15', '9e15', '-1e15', '1e5', '1e9', '1e16', '1e21', '1e22', '1e-4', '1e-7', '5e-324', '1e308', '1e0'],
  ...['1.7976931348623157e308', '2.2250738585072014e-308', '0.1e1', '1.5e+10', '123456789e7', '0.00001', '0.0000001'],
  ...[
    '12345678901234567.8',
    '10000000000000001.5',
    '99999999999999999.0',
    '123456789012345678.5',
    '-1234567890123456789.1',
  ],
  ...[
    '12345678901234567',
    '18446744073709551616',
    '9007199254740993',
    '100000000000000000000000',
    '0.30000000000000004',
  ],
]

const WORDS = ['true', 'false', 'null'] as const
const TYPES = ['string', 'number', 'integer', 'boolean', 'array', 'object'] as const
const SCHEMA_KEYS = ['default', 'enum', 'const', 'examples', 'title', 'x', 'minimum', 'description', 'format'] as const
const KEY_LETTERS = 'abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ_'
/** Most texts in JSON are no longer: what counts there is how it is written. */
const MAX_SHORT_CHARACTERS = 3
/** The gateway refuses bodies that are more than 256 levels deep. */
const MAX_DEPTH = 200

/** Mulberry32: a small generator, good enough to choose requests. */
export class Random {
  #state: number

  constructor(seed: number) {
    this.#state = seed >>> 0
  }

  /** From 0 to below 1. */
  next(): number {
    this.#state = (this.#state + 0x6d2b79f5) >>> 0
    let mixed = Math.imul(this.#state ^ (this.#state >>> 15), this.#state | 1)
    mixed ^= mixed + Math.imul(mixed ^ (mixed >>> 7), mixed | 61)
    return ((mixed ^ (mixed >>> 14)) >>> 0) / 2 ** 32
  }

  below(count: number): number {
    return Math.floor(this.next() * count)
  }

  chance(probability: number): boolean {
    return this.next() < probability
  }

  /** From 1 to `max`, small numbers as likely as large ones. */
  size(max: number): number {
    return Math.max(1, Math.floor(max ** this.next()))
  }

  pick<Item>(items: readonly Item[]): Item {
    const item = items[this.below(items.length)]
    if (item === undefined) throw new RangeError('there is nothing to pick')
    return item
  }
}

/** What a request is mostly made of. Each is searched by itself, or long texts of rare characters would crowd out the others. */
export const SUBJECTS = ['text', 'tools', 'calls', 'all'] as const

export type Subject = (typeof SUBJECTS)[number]

const ASKED: readonly Turn[] = [{ kind: 'said', value: 'a', escaped: false }]
const TOOL: Tool = {
  name: 'f',
  description: null,
  parameters: object([
    ['type', text('object')],
    ['properties', object([])],
  ]),
}

/** @param elements roughly how many elements a part has at most */
export function newRequest(random: Random, subject: Subject, elements: number): DraftRequest {
  if (subject === 'text') return newConversation(random, elements, [])
  if (subject === 'tools') return { system: null, turns: ASKED, tools: newTools(random, elements) }
  if (subject === 'calls')
    return { system: null, turns: [...ASKED, newCall(random, elements, TOOL.name)], tools: [TOOL] }
  return newMixture(random, elements)
}

/** One tool; or many parts that are all alike, which templates write at length: small tools, or parameters of one tool. */
function newTools(random: Random, elements: number): readonly Tool[] {
  const count = random.size(elements)
  if (random.chance(0.1)) return repeated(Math.min(count, 100), (index) => ({ ...TOOL, name: shortName(index) }))
  if (random.chance(0.7)) return [newTool(random, elements)]
  const schema = random.chance(0.5) ? object([]) : newSchema(random, 2)
  const properties = object(repeated(count, (index): Member => [shortName(index), schema]))
  return [
    {
      ...TOOL,
      parameters: object([
        ['type', text('object')],
        ['properties', properties],
      ]),
    },
  ]
}

function newMixture(random: Random, elements: number): DraftRequest {
  const hasTools = random.chance(0.6)
  const count = random.chance(0.8) ? 1 : random.size(8)
  return newConversation(random, elements, hasTools ? repeated(count, () => newTool(random, elements)) : [])
}

function newConversation(random: Random, elements: number, tools: readonly Tool[]): DraftRequest {
  const turns = repeated(random.chance(0.6) ? 1 : random.size(Math.min(24, elements)), (index) =>
    newTurn(random, elements, tools, index % 2 === 1),
  )
  const system = random.chance(0.25) ? newText(random, elements) : null
  return { system, turns: endedByUser(turns), tools }
}

/** Renderers expect that the user, or a tool's result, comes last. */
function endedByUser(turns: readonly Turn[]): readonly Turn[] {
  return turns.length % 2 === 0 && turns.at(-1)?.kind === 'said' ? turns.slice(0, -1) : turns
}

function newTurn(random: Random, elements: number, tools: readonly Tool[], isModel: boolean): Turn {
  if (isModel && tools.length > 0 && random.chance(0.7)) return newCall(random, elements, random.pick(tools).name)
  return { kind: 'said', value: newText(random, elements), escaped: random.chance(0.1) }
}

function newCall(random: Random, elements: number, name: string): Turn {
  const input = random.chance(0.3)
    ? newAlikeArguments(random, elements)
    : object([[newKey(random), newValue(random, elements)]])
  const result = random.chance(0.5) ? written(newValue(random, elements)) : newText(random, elements)
  return { kind: 'call', name, input, result }
}

/** Arguments that are all alike: templates write tags around each. */
function newAlikeArguments(random: Random, elements: number): JsonNode {
  const value = random.chance(0.7) ? newScalar(random) : newValue(random, 3)
  return object(repeated(random.size(elements), (index): Member => [shortName(index), value]))
}

function newTool(random: Random, elements: number): Tool {
  const properties = repeated(
    random.chance(0.7) ? 1 : random.size(elements),
    (index): Member => [random.chance(0.7) ? shortName(index) : newKey(random), newSchema(random, elements)],
  )
  const parameters = object([
    ['type', text('object')],
    ['properties', object(properties)],
    ...(random.chance(0.2) ? [['required', list(properties.map(([key]) => text(key)))] as Member] : []),
  ])
  return {
    name: shortName(random.below(52)),
    description: random.chance(0.4) ? newDescription(random, elements) : null,
    parameters,
  }
}

/** Most are short. Templates write each line of a long one anew. */
function newDescription(random: Random, elements: number): string {
  return newText(random, random.chance(0.8) ? MAX_SHORT_CHARACTERS : elements)
}

function newSchema(random: Random, elements: number): JsonNode {
  if (random.chance(0.15)) return object([])
  const members: Member[] = []
  if (random.chance(0.6)) members.push(['type', text(random.pick(TYPES))])
  if (random.chance(0.8)) {
    const key = random.pick(SCHEMA_KEYS)
    const value = newValue(random, elements)
    if (key === 'description' || key === 'title' || key === 'format')
      members.push([key, text(newDescription(random, elements))])
    else if (key === 'enum' || key === 'examples') members.push([key, value.kind === 'list' ? value : list([value])])
    else members.push([key, value])
  }
  return object(members)
}

function newValue(random: Random, elements: number): JsonNode {
  const count = random.size(elements)
  switch (random.below(9)) {
    case 0:
      return word(random.pick(NUMBERS))
    case 1:
      return text(newText(random, random.chance(0.8) ? MAX_SHORT_CHARACTERS : elements), random.chance(0.1))
    case 2:
      return list(filled(count, word(random.pick(NUMBERS))))
    case 3:
      return list(repeated(count, () => word(random.pick(NUMBERS))))
    case 4:
      return list(filled(count, text(newText(random, 2))))
    case 5:
      return object(repeated(count, (index): Member => [shortName(index), newScalar(random)]))
    case 6:
      return nested(random, Math.min(count, MAX_DEPTH))
    case 7:
      return list(filled(count, random.chance(0.5) ? list([]) : object([])))
    default:
      return list(repeated(Math.min(count, 12), () => newScalar(random)))
  }
}

function newScalar(random: Random): JsonNode {
  if (random.chance(0.2)) return word(random.pick(WORDS))
  if (random.chance(0.2)) return random.chance(0.5) ? list([]) : object([])
  return random.chance(0.7) ? word(random.pick(NUMBERS)) : text(newText(random, 3))
}

function nested(random: Random, depth: number): JsonNode {
  let node: JsonNode = random.chance(0.5) ? list([]) : newScalar(random)
  if (random.chance(0.4)) node = list(filled(random.size(100), node))
  const inObjects = random.chance(0.3)
  for (let level = 0; level < depth; level++) node = inObjects ? object([['a', node]]) : list([node])
  return node
}

function newText(random: Random, elements: number): string {
  const characters = [...random.pick(ALPHABETS)]
  const count = random.size(elements)
  if (random.chance(0.4)) return random.pick(characters).repeat(count)
  if (random.chance(0.2)) characters.push(...random.pick(ALPHABETS))
  return repeated(count, () => random.pick(characters)).join('')
}

function newKey(random: Random): string {
  return random.chance(0.8) ? shortName(random.below(200)) : newText(random, 4)
}

/** One letter for the first 53, then two. */
function shortName(index: number): string {
  const letter = KEY_LETTERS[index % KEY_LETTERS.length] ?? 'a'
  return index < KEY_LETTERS.length ? letter : letter + shortName(Math.floor(index / KEY_LETTERS.length) - 1)
}

/** The request with one part changed: more of it, less of it, or another in its place. */
export function mutated(random: Random, request: DraftRequest, subject: Subject, elements: number): DraftRequest {
  const { turns, tools } = request
  if (subject === 'tools' && random.chance(0.9))
    return { ...request, tools: changedAt(random, tools, (tool) => changedTool(random, tool, elements)) }
  if (subject === 'tools') return { ...request, tools: changedList(random, tools) }
  if (subject === 'calls') {
    if (random.chance(0.1)) return { ...request, turns: [...ASKED, ...turns.slice(turns.length > 3 ? 3 : 1)] }
    if (random.chance(0.1)) return { ...request, turns: [...turns, ...ASKED, newCall(random, elements, TOOL.name)] }
    return {
      ...request,
      turns: changedAt(random, turns, (turn) => (turn.kind === 'call' ? changedTurn(random, turn, elements) : turn)),
    }
  }
  return mutatedMixture(random, request, elements)
}

function mutatedMixture(random: Random, request: DraftRequest, elements: number): DraftRequest {
  const { system, turns, tools } = request
  switch (random.below(tools.length > 0 ? 8 : 4)) {
    case 0:
      return {
        ...request,
        system: system === null || random.chance(0.5) ? changedText(random, system ?? '', elements) : null,
      }
    case 1:
      return {
        ...request,
        turns: turns.length > 1 && random.chance(0.5) ? turns.slice(0, 1) : moreTurns(random, request),
      }
    case 2:
    case 3:
      return { ...request, turns: changedAt(random, turns, (turn) => changedTurn(random, turn, elements)) }
    case 4:
      return { ...request, tools: changedList(random, tools) }
    default:
      return { ...request, tools: changedAt(random, tools, (tool) => changedTool(random, tool, elements)) }
  }
}

/** One of them alone, or one of them once more. */
function changedList<Item>(random: Random, items: readonly Item[]): readonly Item[] {
  const item = random.pick(items)
  return items.length > 1 && random.chance(0.7) ? [item] : [...items, item]
}

function moreTurns(random: Random, { turns, tools }: DraftRequest): readonly Turn[] {
  return endedByUser([...turns, ...repeated(2, (index) => newTurn(random, 2, tools, (turns.length + index) % 2 === 1))])
}

function changedTurn(random: Random, turn: Turn, elements: number): Turn {
  if (turn.kind === 'said') return { ...turn, value: changedText(random, turn.value, elements) }
  if (random.chance(0.2)) return { ...turn, result: changedText(random, turn.result, elements) }
  if (random.chance(0.3)) return { ...turn, result: written(newValue(random, elements)) }
  const input = changedNode(random, turn.input, elements)
  return input.kind === 'object' ? { ...turn, input } : turn
}

function changedTool(random: Random, tool: Tool, elements: number): Tool {
  if (random.chance(0.1)) return { ...tool, description: random.chance(0.7) ? null : newText(random, elements) }
  const { parameters } = tool
  if (parameters.kind !== 'object') return tool
  const members = parameters.members
    .filter(([key]) => key !== 'required' || random.chance(0.5))
    .map(([key, value]): Member => [key, key === 'properties' ? changedNode(random, value, elements) : value])
  const isSound = members.every(([key, value]) => key !== 'properties' || isSchemaList(value))
  return isSound ? { ...tool, parameters: object(members) } : tool
}

function isSchemaList(node: JsonNode): boolean {
  return (
    node.kind === 'object' &&
    node.members.every(([, schema]) => schema.kind === 'object' && schema.members.every(isSoundKeyword))
  )
}

/** Renderers read these keywords, and expect values of these kinds. */
function isSoundKeyword([key, value]: Member): boolean {
  if (key === 'type' || key === 'title' || key === 'description' || key === 'format') return value.kind === 'text'
  return (key !== 'enum' && key !== 'examples') || value.kind === 'list'
}

function changedNode(random: Random, node: JsonNode, elements: number): JsonNode {
  if (node.kind === 'list' && node.items.length > 0) {
    if (random.chance(0.3)) return list([...node.items, ...node.items].slice(0, elements))
    if (random.chance(0.2)) return list(filled(node.items.length, random.pick(node.items)))
    if (random.chance(0.2)) return list(node.items.slice(0, Math.ceil(node.items.length / 2)))
    if (random.chance(0.3)) return list(filled(node.items.length, newScalar(random)))
    return list(changedAt(random, node.items, (item) => changedNode(random, item, elements)))
  }
  if (node.kind === 'object' && node.members.length > 0) {
    if (random.chance(0.15)) return object(more(node.members, elements))
    if (random.chance(0.15) && node.members.length > 1) return object(node.members.slice(1))
    if (random.chance(0.1)) {
      const [, value] = random.pick(node.members)
      return object(node.members.map(([key]): Member => [key, value]))
    }
    return object(
      changedAt(random, node.members, ([key, value]): Member => [key, changedNode(random, value, elements)]),
    )
  }
  if (node.kind === 'text' && random.chance(0.7))
    return text(changedText(random, node.value, MAX_SHORT_CHARACTERS), node.escaped)
  return random.chance(0.2) ? list([node]) : newValue(random, elements)
}

/** As many members again, under other keys. */
function more(members: readonly Member[], elements: number): readonly Member[] {
  const seen = new Map(members)
  for (const [, value] of members) seen.set(shortName(seen.size), value)
  return [...seen].slice(0, elements)
}

function changedText(random: Random, value: string, elements: number): string {
  const characters = [...value]
  if (characters.length === 0 || random.chance(0.2)) return newText(random, elements)
  if (random.chance(0.4)) return (value + value).slice(0, 4 * elements).toWellFormed()
  if (random.chance(0.4)) return random.pick(characters).repeat(characters.length)
  return characters.slice(0, Math.ceil(characters.length / 2)).join('')
}

function changedAt<Item>(random: Random, items: readonly Item[], change: (item: Item) => Item): readonly Item[] {
  const chosen = random.below(items.length)
  return items.map((item, index) => (index === chosen ? change(item) : item))
}

function filled<Item>(count: number, item: Item): Item[] {
  return Array<Item>(count).fill(item)
}

function repeated<Item>(count: number, make: (index: number) => Item): Item[] {
  return Array.from({ length: count }, (_, index) => make(index))
}
