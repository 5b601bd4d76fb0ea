// Event queue: what is to happen later, in the order of time. It reads no clock and calls nothing.

interface QueuedEvent<Event> {
  readonly atMs: number
  readonly order: number
  readonly event: Event
}

/** A binary heap. Events of the same millisecond leave in the order in which they came. */
export class EventQueue<Event> {
  readonly #heap: QueuedEvent<Event>[] = []
  #lastOrder = 0

  get size(): number {
    return this.#heap.length
  }

  push(atMs: number, event: Event): void {
    const heap = this.#heap
    const added = { atMs, order: ++this.#lastOrder, event }
    let index = heap.length
    heap.push(added)
    while (index > 0) {
      const parentIndex = (index - 1) >> 1
      const parent = heap[parentIndex]
      if (!parent || isBefore(parent, added)) break
      heap[index] = parent
      index = parentIndex
    }
    heap[index] = added
  }

  /** Takes the earliest event that is due at `untilMs` or before; undefined if none is. */
  takeDue(untilMs: number): { readonly atMs: number; readonly event: Event } | undefined {
    const heap = this.#heap
    const [first] = heap
    if (!first || first.atMs > untilMs) return undefined
    const last = heap.pop()
    if (last && heap.length > 0) this.#sink(last)
    return first
  }

  /** Puts an event at the top, and moves it down below all that are earlier. */
  #sink(moved: QueuedEvent<Event>): void {
    const heap = this.#heap
    let index = 0
    for (;;) {
      const leftIndex = 2 * index + 1
      const [left, right] = [heap[leftIndex], heap[leftIndex + 1]]
      if (!left) break
      const [child, childIndex] =
        right && isBefore(right, left) ? ([right, leftIndex + 1] as const) : ([left, leftIndex] as const)
      if (isBefore(moved, child)) break
      heap[index] = child
      index = childIndex
    }
    heap[index] = moved
  }
}

function isBefore<Event>(left: QueuedEvent<Event>, right: QueuedEvent<Event>): boolean {
  return left.atMs < right.atMs || (left.atMs === right.atMs && left.order < right.order)
}
