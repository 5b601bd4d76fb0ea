// Documents: JSON made from trees, written in every way its whitespace and escapes allow, with where each value lies.

import fc from 'fast-check'

export const KEYS = [
  'model',
  'max_tokens',
  '__proto__',
  'constructor',
  'naïve',
  '键',
  '😀',
  'a"b',
  'back\\slash',
  '\t',
  '1',
]

export type Tree =
  | { text: string }
  | { elements: Tree[] }
  | { members: { key: string; escapes: number; value: Tree }[] }

/** Runs of quotes and backslashes, at every length. */
const longString = fc
  .string({ unit: fc.constantFrom('\\', '"', 'a'), minLength: 8, maxLength: 40 })
  .map((text) => JSON.stringify(text))

export const { tree } = fc.letrec<{ tree: Tree }>((tie) => ({
  tree: fc.oneof(
    { maxDepth: 5, withCrossShrink: true },
    fc
      .oneof(fc.json({ maxDepth: 0, stringUnit: 'binary' }), longString, fc.constantFrom('"}]\\""', '-0.5e+7'))
      .map((text) => ({ text })),
    fc.array(tie('tree'), { maxLength: 4 }).map((elements) => ({ elements })),
    fc
      .array(fc.record({ key: fc.constantFrom(...KEYS), escapes: fc.nat(2), value: tie('tree') }), { maxLength: 4 })
      .map((members) => ({ members })),
  ),
}))
export const spaces = fc.array(fc.constantFrom('', ' ', '\n\t', '\r\n'), { minLength: 1, maxLength: 7 })

export interface ValueSpan {
  /** The key's place in KEYS, or null for an element. */
  readonly key: number | null
  readonly start: number
  readonly end: number
}

/** A tree as JSON text, with where each value below the outermost lies, in the order they end. */
export function render(root: Tree, padding: readonly string[]): { bytes: Buffer; values: ValueSpan[] } {
  let text = ''
  let turn = 0
  const values: ValueSpan[] = []
  const position = () => Buffer.byteLength(text)
  const space = () => (text += padding[turn++ % padding.length])
  const put = (value: Tree, key: number | null, outermost = false) => {
    space()
    const start = position()
    if ('text' in value) text += value.text
    else {
      const members =
        'members' in value
          ? value.members
          : value.elements.map((element) => ({ value: element, key: null, escapes: 0 }))
      text += 'members' in value ? '{' : '['
      for (const [index, member] of members.entries()) {
        if (index > 0) text += ','
        space()
        if (member.key !== null) {
          text += literal(member.key, member.escapes)
          space()
          text += ':'
        }
        put(member.value, member.key === null ? null : KEYS.indexOf(member.key))
        space()
      }
      text += 'members' in value ? '}' : ']'
    }
    if (!outermost) values.push({ key, start, end: position() })
  }
  put(root, null, true)
  space()
  return { bytes: Buffer.from(text), values }
}

/** A key as JSON writes it: plainly, with its first unit escaped, or with all. */
function literal(key: string, escapes: number): string {
  const units = escapes === 0 ? 0 : escapes === 1 ? 1 : key.length
  const escaped = Array.from(
    { length: units },
    (_, index) => `\\u${key.charCodeAt(index).toString(16).padStart(4, '0')}`,
  )
  return `"${escaped.join('')}${JSON.stringify(key.slice(units)).slice(1)}`
}
