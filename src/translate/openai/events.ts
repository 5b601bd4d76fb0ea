// OpenAI chat, events: a streamed answer, both ways.

import type { ChatEvent, ChatUsage, JsonObject } from '../../core/chat.ts'
import { isRecord, recordOf } from '../../core/json-values.ts'
import { jsonOf, readName } from '../dialect-fields.ts'
import type { EventReader, EventWriter, ResponseContext } from '../translator.ts'
import { readError, writeError } from './errors.ts'
import { readThinkingBlocks, writeThinkingBlock } from './messages.ts'
import { googleExtra, googleSignature } from './parts.ts'
import {
  callsIn,
  createdAt,
  finishReason,
  picturesIn,
  reasoningTextOf,
  stopOf,
  textOf,
  writePicture,
  writeUsage,
} from './response.ts'

/** Nobody sends more in one answer; beyond it, nothing is remembered, nor passed on. */
const MAX_CHOICES = 128
const MAX_CALLS = 1_024
/** Of arguments before their tool's name, and of thoughts before their signature. */
const MAX_HELD_CHARACTERS = 8_388_608
/** The anthropic dialect signs; others' signatures have no place in a stream of this dialect. */
const SIGNING_DIALECT = 'anthropic.messages'

/** A tool call while it comes in. */
interface StreamedCall {
  readonly number: number
  readonly id: string
  name: string
  /** Its name has been passed on. */
  isAnnounced: boolean
  /** Arguments that came before the name. */
  heldArguments: string
  hasArguments: boolean
}

interface StreamedChoice {
  readonly calls: StreamedCall[]
  /** By the index the server gives it. */
  readonly byIndex: Map<number, StreamedCall>
  /** Thoughts come as text of their own, not only in blocks. */
  hasPlainReasoning: boolean
  hasRefused: boolean
  hasStopped: boolean
}

/** Takes what compatible servers send, too. */
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
    choices.forEach((choice, at) => {
      const { index } = choice
      const number = typeof index === 'number' && Number.isInteger(index) && index >= 0 ? index : at
      if (number < MAX_CHOICES) this.#readChoice(number, choice, events)
    })
    return events
  }

  /** A server that never says why it stopped has stopped all the same. */
  end(): readonly ChatEvent[] {
    const events: ChatEvent[] = []
    if (!this.#hasFailed) for (const [number, choice] of this.#choices) this.#stopChoice(number, choice, {}, events)
    return events
  }

  /** Azure's first event says nothing of the answer: it has no choices, and neither id nor model. */
  #readStart(data: JsonObject, hasChoices: boolean, events: ChatEvent[]): void {
    const id = readName(data.id)
    if (this.#hasStarted || (id === '' && !hasChoices)) return
    this.#hasStarted = true
    this.#id = id
    events.push({ kind: 'start', id, model: readName(data.model) })
  }

  #readChoice(number: number, value: JsonObject, events: ChatEvent[]): void {
    const choice = this.#choiceAt(number)
    if (choice.hasStopped) return
    const delta = recordOf(value.delta ?? value.message)
    this.#readThoughts(number, choice, delta, events)
    const text = textOf(delta.content)
    if (text !== '') events.push({ kind: 'text', choice: number, text })
    if (typeof delta.refusal === 'string' && delta.refusal !== '') {
      choice.hasRefused = true
      events.push({ kind: 'refusal', choice: number, text: delta.refusal })
    }
    for (const { mediaType, source } of picturesIn(delta))
      events.push({ kind: 'media', choice: number, mediaType, base64: source.base64 })
    for (const call of callsIn(delta)) if (isRecord(call)) this.#readCall(number, choice, call, events)
    const { finish_reason: reason } = value
    if (typeof reason === 'string' && reason !== '') this.#stopChoice(number, choice, value, events)
  }

  #choiceAt(number: number): StreamedChoice {
    const known = this.#choices.get(number)
    if (known) return known
    const choice = { calls: [], byIndex: new Map(), hasPlainReasoning: false, hasRefused: false, hasStopped: false }
    this.#choices.set(number, choice)
    return choice
  }

  #readThoughts(number: number, choice: StreamedChoice, delta: JsonObject, events: ChatEvent[]): void {
    const text = reasoningTextOf(delta)
    if (text !== '') {
      choice.hasPlainReasoning = true
      events.push({ kind: 'reasoning', choice: number, text })
    }
    for (const { text, signature, redacted, signedIn = '' } of readThinkingBlocks(delta.thinking_blocks)) {
      if (text !== '' && !choice.hasPlainReasoning) events.push({ kind: 'reasoning', choice: number, text })
      if (signature !== undefined) events.push({ kind: 'signature', choice: number, signature, signedIn })
      if (redacted !== undefined) events.push({ kind: 'redacted', choice: number, data: redacted, signedIn })
    }
  }

  #readCall(number: number, choice: StreamedChoice, value: JsonObject, events: ChatEvent[]): void {
    const given = recordOf(value.function)
    const call = this.#callOf(number, choice, value, given)
    if (!call) return
    if (typeof given.name === 'string' && call.name === '') call.name = given.name
    const more = isRecord(given.arguments) ? jsonOf(given.arguments) : given.arguments
    if (typeof more === 'string' && call.heldArguments.length + more.length <= MAX_HELD_CHARACTERS)
      call.heldArguments += more
    if (call.name === '') return
    if (!call.isAnnounced) {
      call.isAnnounced = true
      const signature = googleSignature(value)
      const { number: at, id, name } = call
      events.push({ kind: 'toolCall', choice: number, call: at, id, name, ...(signature && { signature }) })
    }
    if (call.heldArguments !== '') this.#pushArguments(number, call, call.heldArguments, events)
    call.heldArguments = ''
  }

  #pushArguments(number: number, call: StreamedCall, text: string, events: ChatEvent[]): void {
    call.hasArguments = true
    events.push({ kind: 'arguments', choice: number, call: call.number, text })
  }

  /**
   * The call a piece belongs to: by its index, else by its id, else the last one. A piece with another id than its call, and
   * a name, begins a new one: some servers give every call the index 0.
   */
  #callOf(number: number, choice: StreamedChoice, value: JsonObject, given: JsonObject): StreamedCall | undefined {
    const id = typeof value.id === 'string' ? value.id : ''
    const index = typeof value.index === 'number' ? value.index : undefined
    const hasName = typeof given.name === 'string' && given.name !== ''
    const named = id === '' ? undefined : choice.calls.find((call) => call.id === id)
    if (named) return named
    const known = index === undefined ? choice.calls.at(-1) : choice.byIndex.get(index)
    const isNew = index === undefined ? id !== '' || hasName : id !== '' && hasName && known?.isAnnounced
    if (known && !isNew) return known
    if (choice.calls.length >= MAX_CALLS) return undefined
    const at = choice.calls.length
    const made = `call_${this.#id || 'answer'}_${number}_${at}`
    const call = { number: at, id: id || made, name: '', isAnnounced: false, heldArguments: '', hasArguments: false }
    choice.calls.push(call)
    if (index !== undefined) choice.byIndex.set(index, call)
    return call
  }

  #stopChoice(number: number, choice: StreamedChoice, value: JsonObject, events: ChatEvent[]): void {
    if (choice.hasStopped) return
    choice.hasStopped = true
    const begun = choice.calls.filter((call) => call.isAnnounced)
    for (const call of begun) if (!call.hasArguments) this.#pushArguments(number, call, '{}', events)
    const { stop, stopSequence } = stopOf(value, begun.length > 0, choice.hasRefused)
    events.push({ kind: 'stop', choice: number, reason: stop, ...(stopSequence !== undefined && { stopSequence }) })
  }
}

interface WrittenChoice {
  /** Calls that have had no arguments yet. */
  readonly callsWithoutArguments: Set<number>
  /** Since the last signature. */
  reasoningText: string
  pictureCount: number
  hasRefused: boolean
}

export class ChatEventWriter implements EventWriter {
  readonly #context: ResponseContext
  readonly #choices = new Map<number, WrittenChoice>()
  #model: string
  #hasFailed = false
  #hasEnded = false

  constructor(context: ResponseContext) {
    this.#context = context
    this.#model = context.model
  }

  write(event: ChatEvent): string {
    if (this.#hasFailed || this.#hasEnded) return ''
    if (event.kind === 'error') {
      this.#hasFailed = true
      return `data: ${writeError(event.error, this.#context)}\n\n`
    }
    if (event.kind === 'start') {
      this.#model = event.model || this.#model
      return this.#startChoice(0)
    }
    const opened = this.#startChoice(event.choice)
    const choice = this.#choices.get(event.choice)
    return choice ? opened + this.#writePiece(event, choice) : ''
  }

  end(used: ChatUsage | undefined): string {
    if (this.#hasFailed || this.#hasEnded) return ''
    this.#hasEnded = true
    const usage = this.#context.withUsage && used ? this.#writeEvent([], writeUsage(used)) : ''
    return `${usage}data: [DONE]\n\n`
  }

  /** The first event of each choice says whose words follow. */
  #startChoice(choice: number): string {
    if (this.#choices.has(choice) || this.#choices.size >= MAX_CHOICES) return ''
    this.#choices.set(choice, {
      callsWithoutArguments: new Set(),
      reasoningText: '',
      pictureCount: 0,
      hasRefused: false,
    })
    return this.#writeDelta(choice, { role: 'assistant', content: '' })
  }

  #writePiece(event: Exclude<ChatEvent, { kind: 'start' | 'error' }>, choice: WrittenChoice): string {
    switch (event.kind) {
      case 'text':
        return this.#writeDelta(event.choice, { content: event.text })
      case 'reasoning':
        if (choice.reasoningText.length <= MAX_HELD_CHARACTERS) choice.reasoningText += event.text
        return this.#writeDelta(event.choice, { reasoning_content: event.text })
      case 'signature':
      case 'redacted':
        return this.#writeSignedBlock(event, choice)
      case 'toolCall': {
        choice.callsWithoutArguments.add(event.call)
        const extra = event.signature === undefined ? {} : { extra_content: googleExtra(event.signature) }
        const call = { id: event.id, type: 'function', function: { name: event.name, arguments: '' }, ...extra }
        return this.#writeDelta(event.choice, { tool_calls: [{ index: event.call, ...call }] })
      }
      case 'arguments':
        choice.callsWithoutArguments.delete(event.call)
        return this.#writeArguments(event.choice, event.call, event.text)
      case 'media': {
        const picture = writePicture(event.mediaType, event.base64, choice.pictureCount++)
        return this.#writeDelta(event.choice, { images: [picture] })
      }
      case 'refusal':
        choice.hasRefused = true
        return this.#writeDelta(event.choice, { refusal: event.text })
      case 'stop': {
        const empty = [...choice.callsWithoutArguments]
          .map((call) => this.#writeArguments(event.choice, call, '{}'))
          .join('')
        choice.callsWithoutArguments.clear()
        return empty + this.#writeDelta(event.choice, {}, finishReason(event.reason, choice.hasRefused))
      }
    }
  }

  /** A signed block holds all of its thoughts again, so that it can be handed back as it is. */
  #writeSignedBlock(event: Extract<ChatEvent, { kind: 'signature' | 'redacted' }>, choice: WrittenChoice): string {
    const text = choice.reasoningText
    if (event.kind === 'signature') choice.reasoningText = ''
    if (event.signedIn !== SIGNING_DIALECT || text.length > MAX_HELD_CHARACTERS) return ''
    const signed =
      event.kind === 'signature' ? { text, signature: event.signature } : { text: '', redacted: event.data }
    return this.#writeDelta(event.choice, { thinking_blocks: [writeThinkingBlock({ kind: 'reasoning', ...signed })] })
  }

  #writeArguments(choice: number, call: number, text: string): string {
    return this.#writeDelta(choice, { tool_calls: [{ index: call, function: { arguments: text } }] })
  }

  #writeDelta(index: number, delta: JsonObject, finish: string | null = null): string {
    return this.#writeEvent([{ index, delta, logprobs: null, finish_reason: finish }], null)
  }

  #writeEvent(choices: readonly JsonObject[], usage: JsonObject | null): string {
    const chunk = {
      id: `chatcmpl-${this.#context.callId}`,
      object: 'chat.completion.chunk',
      created: createdAt(this.#context),
      model: this.#model,
      choices,
      ...(this.#context.withUsage && { usage }),
    }
    return `data: ${JSON.stringify(chunk)}\n\n`
  }
}
