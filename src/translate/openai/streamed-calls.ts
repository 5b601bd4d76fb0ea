// OpenAI streamed calls: finds the tool call that each piece of a stream belongs to, for one choice.

import type { JsonObject } from '../../core/chat.ts'

/** More calls than any real response has. Pieces of further calls are left out. */
const MAX_CALLS = 1_024

/** A tool call whose pieces are still arriving. */
export interface StreamedCall {
  /** The index of the call in its choice, from 0. */
  readonly index: number
  readonly id: string
  /** Empty until the name has arrived. */
  name: string
  /** True: the event `toolCall` has been returned. */
  isAnnounced: boolean
  /** Arguments that arrived before the name. */
  heldArguments: string
  hasArguments: boolean
}

/** The tool calls of one choice. */
export class StreamedCalls {
  readonly #idPrefix: string
  readonly #calls: StreamedCall[] = []
  /** Calls by the index that the server gives. */
  readonly #byIndex = new Map<number, StreamedCall>()

  /** @param idPrefix begins the id of a call for which the server gives none */
  constructor(idPrefix: string) {
    this.#idPrefix = idPrefix
  }

  /** The calls whose names have arrived, in their order. */
  announced(): StreamedCall[] {
    return this.#calls.filter((call) => call.isAnnounced)
  }

  /**
   * The call that a piece belongs to: the call with the piece's id, otherwise with its index, otherwise the last one. A new
   * call if there is none, and undefined if there are too many. A piece with a new id and a name starts a new call even if its
   * index is taken, because some servers give every call the index 0.
   */
  callOf(piece: JsonObject, hasName: boolean): StreamedCall | undefined {
    const id = typeof piece.id === 'string' ? piece.id : ''
    const index = typeof piece.index === 'number' ? piece.index : undefined
    return this.#withId(id) ?? this.#continued(index, id, hasName) ?? this.#start(index, id)
  }

  #withId(id: string): StreamedCall | undefined {
    return id === '' ? undefined : this.#calls.find((call) => call.id === id)
  }

  #continued(index: number | undefined, id: string, hasName: boolean): StreamedCall | undefined {
    if (index === undefined) return id !== '' || hasName ? undefined : this.#calls.at(-1)
    const call = this.#byIndex.get(index)
    return call?.isAnnounced && id !== '' && hasName ? undefined : call
  }

  #start(index: number | undefined, id: string): StreamedCall | undefined {
    const position = this.#calls.length
    if (position >= MAX_CALLS) return undefined
    const call = {
      index: position,
      id: id || `${this.#idPrefix}${position}`,
      name: '',
      isAnnounced: false,
      heldArguments: '',
      hasArguments: false,
    }
    this.#calls.push(call)
    if (index !== undefined) this.#byIndex.set(index, call)
    return call
  }
}
