// Mutate: JSON and event streams, changed the way broken, odd and hostile parties change them.

import type { Random } from '../call/random.ts'

/** What may stand in any place of a document. Raw text: some of it is no JSON. */
const ODD_VALUES = [
  'null',
  'true',
  'false',
  '0',
  '-0',
  '-1',
  '1.5',
  '1e3',
  '1e308',
  '1e999',
  '9007199254740993',
  '-9223372036854775808',
  '00012',
  'NaN',
  '""',
  '"7"',
  '"\\u0000"',
  '"\\ud800"',
  '"\u202e\ufdfa"',
  '"[DONE]"',
  '"stop"',
  '[]',
  '{}',
  '[[]]',
  '[null]',
  '{"__proto__":{"model":"x"}}',
  '{"type":"web_search"}',
  '{"type":"text","text":"a"}',
  `"${'x'.repeat(3_000)}"`,
  `${'['.repeat(600)}${']'.repeat(600)}`,
  `${'{"a":'.repeat(600)}1${'}'.repeat(600)}`,
  '[',
  '}',
  '',
] as const

const FIGURES = ['-1', '-7e3', '0', '1.5', '99999999', '9007199254740993', '1e300', 'null', '"7"'] as const

/** Keys that mean something somewhere. */
const KEYS = [
  '__proto__',
  'constructor',
  'model',
  'Model',
  'messages',
  'stream',
  'stream_options',
  'max_tokens',
  'MAX_TOKENS',
  'max_completion_tokens',
  'n',
  'tools',
  'usage',
  'choices',
  'error',
  'type',
  'input_tokens',
  'output_tokens',
  'prompt_tokens',
  'completion_tokens',
  'usageMetadata',
  'candidates',
  'generationConfig',
  '',
] as const

/** A value of a document, as text with its place. */
interface ValueSpan {
  readonly start: number
  readonly end: number
}

/** Strings, numbers, words and whole containers of a JSON text, found without reading it as JSON. */
function randomSpan(text: string, random: Random): ValueSpan {
  const tokens = [...text.matchAll(/"(?:[^"\\]|\\.)*"|-?\d[\d.eE+-]*|true|false|null|[[\]{},:]/g)]
  if (tokens.length === 0) return { start: 0, end: text.length }
  const from = random.between(0, tokens.length - 1)
  const first = tokens[from]
  const start = first?.index ?? 0
  if (first?.[0] !== '{' && first?.[0] !== '[') return { start, end: start + (first?.[0].length ?? 0) }
  let depth = 0
  for (const token of tokens.slice(from)) {
    if (token[0] === '{' || token[0] === '[') depth++
    if (token[0] === '}' || token[0] === ']') depth--
    if (depth === 0) return { start, end: token.index + 1 }
  }
  return { start, end: text.length }
}

function changeValue(text: string, random: Random): string {
  const { start, end } = randomSpan(text, random)
  const there = text.slice(start, end)
  const put = (value: string) => text.slice(0, start) + value + text.slice(end)
  switch (random.between(0, 8)) {
    case 8: {
      const numbers = [...text.matchAll(/-?\d[\d.eE+-]*/g)]
      const number = numbers[random.between(0, Math.max(0, numbers.length - 1))]
      const offset = number?.index ?? 0
      return text.slice(0, offset) + random.oneOf(FIGURES) + text.slice(offset + (number?.[0].length ?? 0))
    }
    case 0:
      return put(random.oneOf(ODD_VALUES))
    case 1:
      return put('')
    case 2:
      return put(`${there},${there}`)
    case 3: {
      const target = randomSpan(text, random)
      return put(text.slice(target.start, target.end))
    }
    case 4:
      // Into the object that begins here or later, as its first member.
      return text.replace('{', () => `{"${random.oneOf(KEYS)}":${random.oneOf(ODD_VALUES)},`)
    case 5:
      return put(there.toUpperCase())
    case 6:
      return put(`[${there}]`)
    default:
      return put(`${' \t\n\r'.repeat(random.between(0, 3))}${there}`)
  }
}

/** One to four changes to a JSON text, and now and then to its bytes. */
export function mutate(text: string, random: Random): Buffer {
  let result = text
  for (let times = random.between(1, 4); times > 0; times--) result = changeValue(result, random)
  return random.chance(0.2) ? corruptBytes(Buffer.from(result), random) : Buffer.from(result)
}

/** Bytes flipped, cut off, doubled, or put in. */
export function corruptBytes(bytes: Buffer, random: Random): Buffer {
  if (bytes.length === 0) return bytes
  const offset = random.between(0, bytes.length - 1)
  const until = Math.min(bytes.length, offset + random.between(1, 40))
  switch (random.between(0, 3)) {
    case 0: {
      const copy = Buffer.from(bytes)
      copy[offset] = random.between(0, 255)
      return copy
    }
    case 1:
      return bytes.subarray(0, offset)
    case 2:
      return Buffer.concat([bytes.subarray(0, until), bytes.subarray(offset)])
    default:
      return Buffer.concat([
        bytes.subarray(0, offset),
        Buffer.from([0xff, 0xc0, 0x80, 0x0d, 0x0a]),
        bytes.subarray(offset),
      ])
  }
}

/** An event stream with events changed, left out, doubled or in another order, in another framing, or cut short. */
export function mutateStream(text: string, random: Random): Buffer {
  const events = text.split(/(?<=\r?\n\r?\n)/)
  const index = random.between(0, events.length - 1)
  const event = events[index] ?? ''
  switch (random.between(0, 6)) {
    case 0:
      events.splice(index, 1)
      break
    case 1:
      events.splice(index, 0, event)
      break
    case 2:
      events.splice(random.between(0, events.length), 0, ...events.splice(index, 1))
      break
    case 3:
      events.splice(index, 0, ': comment\n', 'retry: 1\n\n', 'data\n\n', 'data:\n\n', 'data: [DONE]x\n\n')
      break
    default:
      events[index] = event.replace(/(?<=^data: ?).*$/m, (data) => mutate(data, random).toString())
  }
  const joined = events.join('')
  const framed = random.chance(0.1) ? joined.replaceAll(/\r?\n/g, random.oneOf(['\r\n', '\n'])) : joined
  return random.chance(0.2) ? corruptBytes(Buffer.from(framed), random) : Buffer.from(framed)
}

/** The bytes in pieces: one, few or many. */
export function splitBytes(bytes: Buffer, random: Random): Buffer[] {
  const maxBytes = random.oneOf([1, 7, 100, 1_000, 100_000])
  const cut: Buffer[] = []
  for (let offset = 0; offset < bytes.length; ) {
    const next = offset + random.between(1, maxBytes)
    cut.push(bytes.subarray(offset, next))
    offset = next
  }
  return maxBytes === 1 && bytes.length > 3_000 ? [bytes] : cut
}
