// Ring buffer: the newest items, in a fixed amount of memory.

/** Keeps at most `capacity` items. A new item replaces the oldest one. */
export class Ring<Item> {
  readonly #capacity: number
  #items: Item[] = []
  /** The index of the next item, once the ring is full. */
  #next = 0

  constructor(capacity: number) {
    this.#capacity = capacity
  }

  get size(): number {
    return this.#items.length
  }

  push(item: Item): void {
    if (this.#capacity === 0) return
    if (this.#items.length < this.#capacity) {
      this.#items.push(item)
      return
    }
    this.#items[this.#next] = item
    this.#next = (this.#next + 1) % this.#capacity
  }

  /** The newest items, at most `limit`, newest first. */
  newest(limit = this.#items.length): Item[] {
    const size = this.#items.length
    const found: Item[] = []
    for (let back = 1; back <= Math.min(limit, size); back++) {
      const item = this.#items[(this.#next - back + 2 * size) % size]
      if (item !== undefined) found.push(item)
    }
    return found
  }

  /** The newest item that matches, or undefined. It copies all items: do not use it on the path of a call. */
  find(matches: (item: Item) => boolean): Item | undefined {
    return this.newest().find(matches)
  }
}
