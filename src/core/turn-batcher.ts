// Turn batcher: collects items and handles them together at the end of the turn: docs/decisions/turn-batching.md.

export class TurnBatcher<Item> {
  readonly #defer: (callback: () => void) => unknown
  readonly #handle: (item: Item) => void
  readonly #flush = () => this.#handleAll()
  #items: Item[] = []

  /**
   * @param defer calls back when the turn, or the part of it that is meant, is over
   * @param each what is done with an item, in the order they came; never throws
   */
  constructor(defer: (callback: () => void) => unknown, each: (item: Item) => void) {
    this.#defer = defer
    this.#handle = each
  }

  push(item: Item): void {
    if (this.#items.push(item) === 1) this.#defer(this.#flush)
  }

  #handleAll(): void {
    const items = this.#items
    this.#items = []
    for (const item of items) this.#handle(item)
  }
}
