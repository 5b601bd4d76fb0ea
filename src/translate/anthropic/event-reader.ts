// Anthropic event reader: reads the events of a streamed message as chat events. It skips what it cannot read.

import type { ChatEvent, JsonObject } from '../../core/chat.ts'
import { recordOf } from '../../core/json-values.ts'
import { stringifyJson } from '../arguments.ts'
import { readName } from '../dialect-fields.ts'
import type { EventReader } from '../translator.ts'
import { DIALECT, isEmpty } from './dialect-fields.ts'
import { readError } from './errors.ts'
import { readStopReason } from './response.ts'

/** Anthropic streams one tool call at a time, so this bound only limits the memory that a hostile stream can take. */
const MAX_UNFINISHED_CALLS = 128

/** A tool call that has started and not ended. */
interface StreamedCall {
  readonly call: number
  /** The arguments at the start of the block: complete if no pieces follow. */
  readonly input: unknown
  hasPieces: boolean
}

/** Reads one stream. At most 128 tool calls can be unfinished at a time. */
export class AnthropicEventReader implements EventReader {
  readonly #unfinishedCalls = new Map<unknown, StreamedCall>()
  #callCount = 0
  #hasStopped = false

  read(data: JsonObject): readonly ChatEvent[] {
    switch (data.type) {
      case 'message_start': {
        const { id, model } = recordOf(data.message)
        return [{ kind: 'start', id: readName(id), model: readName(model) }]
      }
      case 'content_block_start':
        return this.#startBlock(data.index, recordOf(data.content_block))
      case 'content_block_delta':
        return this.#readDelta(data.index, recordOf(data.delta))
      case 'content_block_stop':
        return this.#stopBlock(data.index)
      case 'message_delta':
        return this.#readStop(recordOf(data.delta))
      case 'error':
        return [{ kind: 'error', error: readError(0, data) }]
    }
    return []
  }

  /** Nothing is held back. A stream without a stop reason broke off, so no stop event is made up. */
  end(): readonly ChatEvent[] {
    return []
  }

  #startBlock(index: unknown, block: JsonObject): ChatEvent[] {
    const { type, text, thinking, signature, data } = block
    if (type === 'text') return textEvents(text)
    if (type === 'thinking') return [...reasoningEvents(thinking), ...signatureEvents(signature)]
    if (type === 'redacted_thinking' && typeof data === 'string') {
      return [{ kind: 'redacted', choice: 0, data, signedIn: DIALECT }]
    }
    return type === 'tool_use' ? this.#startCall(index, block) : []
  }

  #startCall(index: unknown, { id, name, input }: JsonObject): ChatEvent[] {
    if (typeof id !== 'string' || typeof name !== 'string' || this.#unfinishedCalls.size >= MAX_UNFINISHED_CALLS)
      return []
    const call = this.#callCount++
    this.#unfinishedCalls.set(index, { call, input, hasPieces: false })
    return [{ kind: 'toolCall', choice: 0, call, id, name }]
  }

  #readDelta(index: unknown, delta: JsonObject): ChatEvent[] {
    switch (delta.type) {
      case 'text_delta':
        return textEvents(delta.text)
      case 'thinking_delta':
        return reasoningEvents(delta.thinking)
      case 'signature_delta':
        return signatureEvents(delta.signature)
    }
    const call = this.#unfinishedCalls.get(index)
    const piece = delta.partial_json
    if (delta.type !== 'input_json_delta' || !call || typeof piece !== 'string' || piece === '') return []
    call.hasPieces = true
    return [{ kind: 'arguments', choice: 0, call: call.call, text: piece }]
  }

  #stopBlock(index: unknown): ChatEvent[] {
    const call = this.#unfinishedCalls.get(index)
    this.#unfinishedCalls.delete(index)
    if (!call || call.hasPieces) return []
    const text = stringifyJson(isEmpty(call.input) ? {} : call.input) ?? '{}'
    return [{ kind: 'arguments', choice: 0, call: call.call, text }]
  }

  #readStop({ stop_reason: reason, stop_sequence: sequence }: JsonObject): ChatEvent[] {
    if (typeof reason !== 'string' || this.#hasStopped) return []
    this.#hasStopped = true
    const stopSequence = typeof sequence === 'string' ? { stopSequence: sequence } : {}
    return [{ kind: 'stop', choice: 0, reason: readStopReason(reason), ...stopSequence }]
  }
}

function textEvents(text: unknown): ChatEvent[] {
  return typeof text === 'string' && text !== '' ? [{ kind: 'text', choice: 0, text }] : []
}

function reasoningEvents(text: unknown): ChatEvent[] {
  return typeof text === 'string' && text !== '' ? [{ kind: 'reasoning', choice: 0, text }] : []
}

function signatureEvents(signature: unknown): ChatEvent[] {
  if (typeof signature !== 'string' || signature === '') return []
  return [{ kind: 'signature', choice: 0, signature, signedIn: DIALECT }]
}
