// OpenAI event reader: reads the chunks of a streamed completion, as OpenAI and compatible servers send them, as chat events.
// It skips what it cannot read.

import type { ChatEvent, JsonObject } from '../../core/chat.ts'
import { isRecord, recordOf } from '../../core/json-values.ts'
import { jsonOf, readName } from '../dialect-fields.ts'
import type { EventReader } from '../translator.ts'
import { googleSignature } from './calls.ts'
import { readError } from './errors.ts'
import { picturesIn } from './parts.ts'
import { callsIn, failureOf, reasoningTextOf, stopOf, textOf } from './response.ts'
import { type StreamedCall, StreamedCalls } from './streamed-calls.ts'
import { readThinkingBlocks } from './thoughts.ts'

/** More choices than any real response has. Further ones are left out. */
const MAX_CHOICES = 128
/** How many characters of arguments may wait for the name of their tool. */
const MAX_HELD_CHARACTERS = 8_388_608

interface StreamedChoice {
  /** From 0. */
  readonly index: number
  readonly calls: StreamedCalls
  /** True: thoughts arrive as text of their own, so the text of thinking blocks repeats them. */
  hasPlainReasoning: boolean
  hasRefused: boolean
  hasStopped: boolean
}

export class ChatEventReader implements EventReader {
  readonly #choices = new Map<number, StreamedChoice>()
  #id = ''
  #hasStarted = false
  #hasFailed = false

  read(data: JsonObject): readonly ChatEvent[] {
    const events: ChatEvent[] = []
    const choices = Array.isArray(data.choices) ? data.choices.filter(isRecord) : []
    if (isRecord(data.error) || (typeof data.error === 'string' && data.error !== '')) {
      this.#hasFailed = true
      return [{ kind: 'error', error: readError(0, data) }]
    }
    this.#readStart(data, choices.length > 0, events)
    choices.forEach((value, position) => {
      const { index } = value
      const choiceIndex = typeof index === 'number' && Number.isInteger(index) && index >= 0 ? index : position
      if (choiceIndex < MAX_CHOICES) this.#readChoice(this.#choiceAt(choiceIndex), value, events)
    })
    return events
  }

  /** A stream that ended well without a finish reason has stopped all the same. */
  end(): readonly ChatEvent[] {
    const events: ChatEvent[] = []
    if (!this.#hasFailed) for (const choice of this.#choices.values()) stopChoice(choice, {}, events)
    return events
  }

  /** Azure's first event is skipped: it has neither choices nor an id nor a model. */
  #readStart(data: JsonObject, hasChoices: boolean, events: ChatEvent[]): void {
    const id = readName(data.id)
    if (this.#hasStarted || (id === '' && !hasChoices)) return
    this.#hasStarted = true
    this.#id = id
    events.push({ kind: 'start', id, model: readName(data.model) })
  }

  #choiceAt(index: number): StreamedChoice {
    const existing = this.#choices.get(index)
    if (existing) return existing
    const calls = new StreamedCalls(`call_${this.#id || 'answer'}_${index}_`)
    const choice = { index, calls, hasPlainReasoning: false, hasRefused: false, hasStopped: false }
    this.#choices.set(index, choice)
    return choice
  }

  #readChoice(choice: StreamedChoice, value: JsonObject, events: ChatEvent[]): void {
    if (choice.hasStopped) return
    const delta = recordOf(value.delta ?? value.message)
    readThoughts(choice, delta, events)
    const text = textOf(delta.content)
    if (text !== '') events.push({ kind: 'text', choice: choice.index, text })
    if (typeof delta.refusal === 'string' && delta.refusal !== '') {
      choice.hasRefused = true
      events.push({ kind: 'refusal', choice: choice.index, text: delta.refusal })
    }
    for (const { mediaType, source } of picturesIn(delta))
      events.push({ kind: 'media', choice: choice.index, mediaType, base64: source.base64 })
    for (const piece of callsIn(delta)) if (isRecord(piece)) readCall(choice, piece, events)
    const { finish_reason: reason } = value
    if (typeof reason === 'string' && reason !== '') stopChoice(choice, value, events)
  }
}

function readThoughts(choice: StreamedChoice, delta: JsonObject, events: ChatEvent[]): void {
  const text = reasoningTextOf(delta)
  if (text !== '') {
    choice.hasPlainReasoning = true
    events.push({ kind: 'reasoning', choice: choice.index, text })
  }
  for (const { text, signature, redacted, signedIn = '' } of readThinkingBlocks(delta.thinking_blocks)) {
    if (text !== '' && !choice.hasPlainReasoning) events.push({ kind: 'reasoning', choice: choice.index, text })
    if (signature !== undefined) events.push({ kind: 'signature', choice: choice.index, signature, signedIn })
    if (redacted !== undefined) events.push({ kind: 'redacted', choice: choice.index, data: redacted, signedIn })
  }
}

/** Arguments wait until the tool's name has arrived, since the event `toolCall` comes before them and needs it. */
function readCall(choice: StreamedChoice, piece: JsonObject, events: ChatEvent[]): void {
  const { name, arguments: args } = recordOf(piece.function)
  const hasName = typeof name === 'string' && name !== ''
  const call = choice.calls.callOf(piece, hasName)
  if (!call) return
  if (hasName && call.name === '') call.name = name
  const text = isRecord(args) ? jsonOf(args) : args
  if (typeof text === 'string' && call.heldArguments.length + text.length <= MAX_HELD_CHARACTERS)
    call.heldArguments += text
  if (call.name === '') return
  if (!call.isAnnounced) announceCall(choice, call, googleSignature(piece), events)
  if (call.heldArguments !== '') pushArguments(choice, call, call.heldArguments, events)
  call.heldArguments = ''
}

function announceCall(
  choice: StreamedChoice,
  call: StreamedCall,
  signature: string | undefined,
  events: ChatEvent[],
): void {
  call.isAnnounced = true
  const { index, id, name } = call
  events.push({ kind: 'toolCall', choice: choice.index, call: index, id, name, ...(signature && { signature }) })
}

function pushArguments(choice: StreamedChoice, call: StreamedCall, text: string, events: ChatEvent[]): void {
  call.hasArguments = true
  events.push({ kind: 'arguments', choice: choice.index, call: call.index, text })
}

function stopChoice(choice: StreamedChoice, value: JsonObject, events: ChatEvent[]): void {
  if (choice.hasStopped) return
  choice.hasStopped = true
  const failure = failureOf(value)
  if (failure && choice.index === 0) {
    events.push({ kind: 'error', error: failure })
    return
  }
  const announced = choice.calls.announced()
  for (const call of announced) if (!call.hasArguments) pushArguments(choice, call, '{}', events)
  const { stop, stopSequence } = stopOf(value, announced.length > 0, choice.hasRefused)
  events.push({ kind: 'stop', choice: choice.index, reason: stop, ...(stopSequence !== undefined && { stopSequence }) })
}
