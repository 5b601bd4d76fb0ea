// Anthropic answers, streamed: read.

import type { JsonObject, NeutralEvent } from '../../core/chat.ts'
import { recordOf } from '../../core/json-values.ts'
import { nameIn } from '../dialect-fields.ts'
import type { EventReader } from '../translator.ts'
import { readStop } from './answer.ts'
import { textOfValue } from './arguments.ts'
import { DIALECT, isNothing } from './dialect-fields.ts'
import { readError } from './errors.ts'

/** Calls that are open at once. Anthropic's come one after the other; more are nobody's real answer. */
const MOST_OPEN = 128

interface OpenCall {
  readonly call: number
  /** As the block began: whole where no pieces follow. */
  readonly input: unknown
  hasPieces: boolean
}

export class MessageReader implements EventReader {
  readonly #open = new Map<unknown, OpenCall>()
  #calls = 0
  #hasStopped = false

  read(data: JsonObject): readonly NeutralEvent[] {
    switch (data.type) {
      case 'message_start': {
        const { id, model } = recordOf(data.message)
        return [{ kind: 'start', id: nameIn(id), model: nameIn(model) }]
      }
      case 'content_block_start':
        return this.#start(data.index, recordOf(data.content_block))
      case 'content_block_delta':
        return this.#delta(data.index, recordOf(data.delta))
      case 'content_block_stop':
        return this.#stop(data.index)
      case 'message_delta':
        return this.#end(recordOf(data.delta))
      case 'error':
        return [{ kind: 'error', error: readError(0, data) }]
    }
    return []
  }

  /** Whatever there was has been said: a stream that did not stop has not ended well. */
  end(): readonly NeutralEvent[] {
    return []
  }

  #start(index: unknown, block: JsonObject): NeutralEvent[] {
    const { type, text, thinking, signature, data } = block
    if (type === 'text') return textEvents(text)
    if (type === 'thinking') return [...reasoningEvents(thinking), ...signatureEvents(signature)]
    if (type === 'redacted_thinking' && typeof data === 'string') {
      return [{ kind: 'redacted', choice: 0, data, signedIn: DIALECT }]
    }
    return type === 'tool_use' ? this.#call(index, block) : []
  }

  #call(index: unknown, { id, name, input }: JsonObject): NeutralEvent[] {
    if (typeof id !== 'string' || typeof name !== 'string' || this.#open.size >= MOST_OPEN) return []
    const call = this.#calls++
    this.#open.set(index, { call, input, hasPieces: false })
    return [{ kind: 'toolCall', choice: 0, call, id, name }]
  }

  #delta(index: unknown, delta: JsonObject): NeutralEvent[] {
    switch (delta.type) {
      case 'text_delta':
        return textEvents(delta.text)
      case 'thinking_delta':
        return reasoningEvents(delta.thinking)
      case 'signature_delta':
        return signatureEvents(delta.signature)
    }
    const open = this.#open.get(index)
    const piece = delta.partial_json
    if (delta.type !== 'input_json_delta' || !open || typeof piece !== 'string' || piece === '') return []
    open.hasPieces = true
    return [{ kind: 'arguments', choice: 0, call: open.call, text: piece }]
  }

  #stop(index: unknown): NeutralEvent[] {
    const open = this.#open.get(index)
    this.#open.delete(index)
    if (!open || open.hasPieces) return []
    const text = textOfValue(isNothing(open.input) ? {} : open.input) ?? '{}'
    return [{ kind: 'arguments', choice: 0, call: open.call, text }]
  }

  #end({ stop_reason: reason, stop_sequence: sequence }: JsonObject): NeutralEvent[] {
    if (typeof reason !== 'string' || this.#hasStopped) return []
    this.#hasStopped = true
    const met = typeof sequence === 'string' ? { stopSequence: sequence } : {}
    return [{ kind: 'stop', choice: 0, reason: readStop(reason), ...met }]
  }
}

function textEvents(text: unknown): NeutralEvent[] {
  return typeof text === 'string' && text !== '' ? [{ kind: 'text', choice: 0, text }] : []
}

function reasoningEvents(text: unknown): NeutralEvent[] {
  return typeof text === 'string' && text !== '' ? [{ kind: 'reasoning', choice: 0, text }] : []
}

function signatureEvents(signature: unknown): NeutralEvent[] {
  if (typeof signature !== 'string' || signature === '') return []
  return [{ kind: 'signature', choice: 0, signature, signedIn: DIALECT }]
}
