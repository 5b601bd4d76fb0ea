// Slot cache: values made from short texts that come again and again, such as names of headers. Of fixed size.

interface CachedValue<Value> {
  readonly text: string
  readonly value: Value
}

const SLOT_COUNT = 1024
const MAX_TEXT_CHARACTERS = 64

/**
 * A hash table without chains: of two texts with the same slot, the later one stays. For texts that are new strings with every
 * call, a Map costs more, because V8 first looks up the one copy of the text that all its Maps share.
 */
export class SlotCache<Value> {
  readonly #make: (text: string) => Value
  readonly #slots: (CachedValue<Value> | undefined)[] = Array.from({ length: SLOT_COUNT }, () => undefined)

  /** @param make makes the value of a text, always the same one for the same text */
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
  for (let index = 0; index < text.length; index++) hash = (Math.imul(hash, 31) + text.charCodeAt(index)) | 0
  return hash & (SLOT_COUNT - 1)
}
