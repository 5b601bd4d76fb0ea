// JSON text: JSON as it is written. Numbers and escapes keep their spelling, which JSON.stringify would not.

/** One value. A word is a number, `true`, `false` or `null`. */
export type JsonNode =
  | { readonly kind: 'word'; readonly text: string }
  | { readonly kind: 'text'; readonly value: string; readonly escaped: boolean }
  | { readonly kind: 'list'; readonly items: readonly JsonNode[] }
  | { readonly kind: 'object'; readonly members: readonly Member[] }

export type Member = readonly [key: string, value: JsonNode]

export function word(text: string | number): JsonNode {
  return { kind: 'word', text: String(text) }
}

/** @param escaped writes characters beyond ASCII as escapes of four digits */
export function text(value: string, escaped = false): JsonNode {
  return { kind: 'text', value, escaped }
}

export function list(items: readonly JsonNode[]): JsonNode {
  return { kind: 'list', items }
}

export function object(members: readonly Member[]): JsonNode {
  return { kind: 'object', members }
}

/** Compact, since space in a body only raises its quote. */
export function written(node: JsonNode): string {
  switch (node.kind) {
    case 'word':
      return node.text
    case 'text':
      return writtenText(node.value, node.escaped)
    case 'list':
      return `[${node.items.map(written).join(',')}]`
    case 'object':
      return `{${node.members.map(([key, value]) => `${JSON.stringify(key)}:${written(value)}`).join(',')}}`
  }
}

function writtenText(value: string, escaped: boolean): string {
  const plain = JSON.stringify(value)
  if (!escaped) return plain
  return plain.replace(/[^\0-~]/g, (unit) => `\\u${unit.charCodeAt(0).toString(16).padStart(4, '0')}`)
}
