// Memo: what was last made of short texts that come again and again, such as the names of headers.

interface Made<Value> {
  readonly text: string
  readonly value: Value
}

const SLOTS = 1024
const LONGEST = 64

/**
 * Holds no more than there are places: of two texts that share one, the later. For texts that come anew with every call a Map
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
    if (text.length > LONGEST) return this.#make(text)
    const slot = slotOf(text)
    const known = this.#slots[slot]
    if (known?.text === text) return known.value
    const value = this.#make(text)
    this.#slots[slot] = { text, value }
    return value
  }
}

function slotOf(text: string): number {
  let hash = text.length
  for (let at = 0; at < text.length; at++) hash = (Math.imul(hash, 31) + text.charCodeAt(at)) | 0
  return hash & (SLOTS - 1)
}
