// Turn batcher: collects items until a turn of the event loop is over, and handles them together: see
// docs/decisions/turn-batching.md. It does no I/O of its own.

/**
 * Handles items in batches. The order of the items is kept.
 *
 * @example
 * const ends = new TurnBatcher<ServerResponse>(setImmediate, (response) => response.end())
 * ends.push(response)
 */
export class TurnBatcher<Item> {
  readonly #defer: (callback: () => void) => unknown
  readonly #handle: (item: Item) => void
  readonly #flush = () => this.#handleAll()
  #items: Item[] = []

  /**
   * @param defer calls back when the batch is due, such as `setImmediate` or `queueMicrotask`
   * @param handle handles one item; must not throw
   */
  constructor(defer: (callback: () => void) => unknown, handle: (item: Item) => void) {
    this.#defer = defer
    this.#handle = handle
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
