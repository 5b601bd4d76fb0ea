// Memo: what was last made of short texts that come again and again, such as the names of headers.

interface Made<Value> {
  readonly text: string
  readonly value: Value
}

const SLOTS = 256
const LONGEST = 64

/**
 * Holds some hundred values: of two texts that share a place, the later one. For texts that come anew with every call a Map
 * costs more: before it looks for one, V8 makes sure that it has every text only once.
 */
export class Memo<Value> {
  readonly #make: (text: string) => Value
  readonly #slots: (Made<Value> | undefined)[] = Array.from({ length: SLOTS }, () => undefined)

  /** @param make always makes the same of the same text */
  constructor(make: (text: string) => Value) {
    this.#make = make
  }

  of(text: string): Value {
    const slot = slotOf(text)
    const known = this.#slots[slot]
    if (known?.text === text) return known.value
    const value = this.#make(text)
    if (text.length <= LONGEST) this.#slots[slot] = { text, value }
    return value
  }
}

/** By length and three characters. */
function slotOf(text: string): number {
  const { length } = text
  if (length === 0) return 0
  const head = Math.imul(length, 31) + text.charCodeAt(0)
  const body = Math.imul(head, 31) + text.charCodeAt(length >> 1)
  return (Math.imul(body, 31) + text.charCodeAt(length - 1)) & (SLOTS - 1)
}
