// Memo: what was last made of short texts that come again and again, such as the names of headers.

interface CachedValue<Value> {
  readonly text: string
  readonly value: Value
}

const SLOT_COUNT = 1024
const MAX_TEXT_CHARACTERS = 64

/**
 * Holds no more than there are places: of two texts that share one, the later. For texts that come anew with every call a Map
 * costs more: before it looks for one, V8 makes sure that it has every text only once.
 */
export class SlotCache<Value> {
  readonly #make: (text: string) => Value
  readonly #slots: (CachedValue<Value> | undefined)[] = Array.from({ length: SLOT_COUNT }, () => undefined)

  /** @param make always makes the same of the same text */
  constructor(make: (text: string) => Value) {
    this.#make = make
  }

  get(text: string): Value {
    if (text.length > MAX_TEXT_CHARACTERS) return this.#make(text)
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
  return hash & (SLOT_COUNT - 1)
}
