// OpenAI chat, events: a streamed answer, both ways.

import type { JsonObject, NeutralEvent, NeutralUsage } from '../../core/chat.ts'
import { isRecord, recordOf } from '../../core/json-values.ts'
import { jsonOf, nameIn } from '../dialect-fields.ts'
import type { AnswerContext, EventReader, EventWriter } from '../translator.ts'
import {
  callsIn,
  createdAt,
  finishReason,
  picturesIn,
  stopOf,
  textOf,
  thoughtOf,
  writePicture,
  writeUsage,
} from './answer.ts'
import { readError, writeError } from './errors.ts'
import { readBlocks, writeBlock } from './messages.ts'
import { googleExtra, googleSignature } from './parts.ts'

/** Nobody sends more in one answer; beyond it, nothing is remembered, nor passed on. */
const MOST_CHOICES = 128
const MOST_CALLS = 1_024
/** Of arguments before their tool's name, and of thoughts before their signature. */
const MOST_HELD_CHARACTERS = 8_388_608
/** The anthropic dialect signs; others' signatures have no place in a stream of this dialect. */
const SIGNING_DIALECT = 'anthropic.messages'

/** A tool call while it comes in. */
interface OpenCall {
  readonly number: number
  readonly id: string
  name: string
  /** Its name has been passed on. */
  begun: boolean
  /** Arguments that came before the name. */
  held: string
  hasArguments: boolean
}

interface OpenChoice {
  readonly calls: OpenCall[]
  /** By the index the server gives it. */
  readonly byIndex: Map<number, OpenCall>
  /** Thoughts come as text of their own, not only in blocks. */
  thinksAloud: boolean
  refused: boolean
  stopped: boolean
}

/** Takes what compatible servers send, too. */
export class ChatEventReader implements EventReader {
  readonly #choices = new Map<number, OpenChoice>()
  #id = ''
  #started = false
  #failed = false

  read(data: JsonObject): readonly NeutralEvent[] {
    const events: NeutralEvent[] = []
    const choices = Array.isArray(data.choices) ? data.choices.filter(isRecord) : []
    if (isRecord(data.error) || (typeof data.error === 'string' && data.error !== '')) {
      this.#failed = true
      return [{ kind: 'error', error: readError(0, data) }]
    }
    this.#start(data, choices.length > 0, events)
    choices.forEach((choice, at) => {
      const { index } = choice
      const number = typeof index === 'number' && Number.isInteger(index) && index >= 0 ? index : at
      if (number < MOST_CHOICES) this.#readChoice(number, choice, events)
    })
    return events
  }

  /** A server that never says why it stopped has stopped all the same. */
  end(): readonly NeutralEvent[] {
    const events: NeutralEvent[] = []
    if (!this.#failed) for (const [number, choice] of this.#choices) this.#stop(number, choice, {}, events)
    return events
  }

  /** Azure's first event says nothing of the answer: it has no choices, and neither id nor model. */
  #start(data: JsonObject, hasChoices: boolean, events: NeutralEvent[]): void {
    const id = nameIn(data.id)
    if (this.#started || (id === '' && !hasChoices)) return
    this.#started = true
    this.#id = id
    events.push({ kind: 'start', id, model: nameIn(data.model) })
  }

  #readChoice(number: number, value: JsonObject, events: NeutralEvent[]): void {
    const choice = this.#choiceAt(number)
    if (choice.stopped) return
    const delta = recordOf(value.delta ?? value.message)
    this.#readThoughts(number, choice, delta, events)
    const text = textOf(delta.content)
    if (text !== '') events.push({ kind: 'text', choice: number, text })
    if (typeof delta.refusal === 'string' && delta.refusal !== '') {
      choice.refused = true
      events.push({ kind: 'refusal', choice: number, text: delta.refusal })
    }
    for (const { mediaType, source } of picturesIn(delta))
      events.push({ kind: 'media', choice: number, mediaType, base64: source.base64 })
    for (const call of callsIn(delta)) if (isRecord(call)) this.#readCall(number, choice, call, events)
    const { finish_reason: reason } = value
    if (typeof reason === 'string' && reason !== '') this.#stop(number, choice, value, events)
  }

  #choiceAt(number: number): OpenChoice {
    const known = this.#choices.get(number)
    if (known) return known
    const choice = { calls: [], byIndex: new Map(), thinksAloud: false, refused: false, stopped: false }
    this.#choices.set(number, choice)
    return choice
  }

  #readThoughts(number: number, choice: OpenChoice, delta: JsonObject, events: NeutralEvent[]): void {
    const text = thoughtOf(delta)
    if (text !== '') {
      choice.thinksAloud = true
      events.push({ kind: 'reasoning', choice: number, text })
    }
    for (const { text, signature, redacted, signedIn = '' } of readBlocks(delta.thinking_blocks)) {
      if (text !== '' && !choice.thinksAloud) events.push({ kind: 'reasoning', choice: number, text })
      if (signature !== undefined) events.push({ kind: 'signature', choice: number, signature, signedIn })
      if (redacted !== undefined) events.push({ kind: 'redacted', choice: number, data: redacted, signedIn })
    }
  }

  #readCall(number: number, choice: OpenChoice, value: JsonObject, events: NeutralEvent[]): void {
    const given = recordOf(value.function)
    const call = this.#callOf(number, choice, value, given)
    if (!call) return
    if (typeof given.name === 'string' && call.name === '') call.name = given.name
    const more = isRecord(given.arguments) ? jsonOf(given.arguments) : given.arguments
    if (typeof more === 'string' && call.held.length + more.length <= MOST_HELD_CHARACTERS) call.held += more
    if (call.name === '') return
    if (!call.begun) {
      call.begun = true
      const signature = googleSignature(value)
      const { number: at, id, name } = call
      events.push({ kind: 'toolCall', choice: number, call: at, id, name, ...(signature && { signature }) })
    }
    if (call.held !== '') this.#passArguments(number, call, call.held, events)
    call.held = ''
  }

  #passArguments(number: number, call: OpenCall, text: string, events: NeutralEvent[]): void {
    call.hasArguments = true
    events.push({ kind: 'arguments', choice: number, call: call.number, text })
  }

  /**
   * The call a piece belongs to: by its index, else by its id, else the last one. A piece with another id than its call, and
   * a name, begins a new one: some servers give every call the index 0.
   */
  #callOf(number: number, choice: OpenChoice, value: JsonObject, given: JsonObject): OpenCall | undefined {
    const id = typeof value.id === 'string' ? value.id : ''
    const index = typeof value.index === 'number' ? value.index : undefined
    const hasName = typeof given.name === 'string' && given.name !== ''
    const named = id === '' ? undefined : choice.calls.find((call) => call.id === id)
    if (named) return named
    const known = index === undefined ? choice.calls.at(-1) : choice.byIndex.get(index)
    const isNew = index === undefined ? id !== '' || hasName : id !== '' && hasName && known?.begun
    if (known && !isNew) return known
    if (choice.calls.length >= MOST_CALLS) return undefined
    const at = choice.calls.length
    const made = `call_${this.#id || 'answer'}_${number}_${at}`
    const call = { number: at, id: id || made, name: '', begun: false, held: '', hasArguments: false }
    choice.calls.push(call)
    if (index !== undefined) choice.byIndex.set(index, call)
    return call
  }

  #stop(number: number, choice: OpenChoice, value: JsonObject, events: NeutralEvent[]): void {
    if (choice.stopped) return
    choice.stopped = true
    const begun = choice.calls.filter((call) => call.begun)
    for (const call of begun) if (!call.hasArguments) this.#passArguments(number, call, '{}', events)
    const { stop, stopSequence } = stopOf(value, begun.length > 0, choice.refused)
    events.push({ kind: 'stop', choice: number, reason: stop, ...(stopSequence !== undefined && { stopSequence }) })
  }
}

interface WrittenChoice {
  /** Calls that have had no arguments yet. */
  readonly bare: Set<number>
  /** Since the last signature. */
  thoughts: string
  pictures: number
  refused: boolean
}

export class ChatEventWriter implements EventWriter {
  readonly #context: AnswerContext
  readonly #choices = new Map<number, WrittenChoice>()
  #model: string
  #failed = false
  #ended = false

  constructor(context: AnswerContext) {
    this.#context = context
    this.#model = context.model
  }

  write(event: NeutralEvent): string {
    if (this.#failed || this.#ended) return ''
    if (event.kind === 'error') {
      this.#failed = true
      return `data: ${writeError(event.error, this.#context)}\n\n`
    }
    if (event.kind === 'start') {
      this.#model = event.model || this.#model
      return this.#opened(0)
    }
    const opened = this.#opened(event.choice)
    const choice = this.#choices.get(event.choice)
    return choice ? opened + this.#piece(event, choice) : ''
  }

  end(used: NeutralUsage | undefined): string {
    if (this.#failed || this.#ended) return ''
    this.#ended = true
    const usage = this.#context.withUsage && used ? this.#event([], writeUsage(used)) : ''
    return `${usage}data: [DONE]\n\n`
  }

  /** The first event of each choice says whose words follow. */
  #opened(choice: number): string {
    if (this.#choices.has(choice) || this.#choices.size >= MOST_CHOICES) return ''
    this.#choices.set(choice, { bare: new Set(), thoughts: '', pictures: 0, refused: false })
    return this.#delta(choice, { role: 'assistant', content: '' })
  }

  #piece(event: Exclude<NeutralEvent, { kind: 'start' | 'error' }>, choice: WrittenChoice): string {
    switch (event.kind) {
      case 'text':
        return this.#delta(event.choice, { content: event.text })
      case 'reasoning':
        if (choice.thoughts.length <= MOST_HELD_CHARACTERS) choice.thoughts += event.text
        return this.#delta(event.choice, { reasoning_content: event.text })
      case 'signature':
      case 'redacted':
        return this.#block(event, choice)
      case 'toolCall': {
        choice.bare.add(event.call)
        const extra = event.signature === undefined ? {} : { extra_content: googleExtra(event.signature) }
        const call = { id: event.id, type: 'function', function: { name: event.name, arguments: '' }, ...extra }
        return this.#delta(event.choice, { tool_calls: [{ index: event.call, ...call }] })
      }
      case 'arguments':
        choice.bare.delete(event.call)
        return this.#arguments(event.choice, event.call, event.text)
      case 'media': {
        const picture = writePicture(event.mediaType, event.base64, choice.pictures++)
        return this.#delta(event.choice, { images: [picture] })
      }
      case 'refusal':
        choice.refused = true
        return this.#delta(event.choice, { refusal: event.text })
      case 'stop': {
        const empty = [...choice.bare].map((call) => this.#arguments(event.choice, call, '{}')).join('')
        choice.bare.clear()
        return empty + this.#delta(event.choice, {}, finishReason(event.reason, choice.refused))
      }
    }
  }

  /** A signed block holds all of its thoughts again, so that it can be handed back as it is. */
  #block(event: Extract<NeutralEvent, { kind: 'signature' | 'redacted' }>, choice: WrittenChoice): string {
    const text = choice.thoughts
    if (event.kind === 'signature') choice.thoughts = ''
    if (event.signedIn !== SIGNING_DIALECT || text.length > MOST_HELD_CHARACTERS) return ''
    const signed =
      event.kind === 'signature' ? { text, signature: event.signature } : { text: '', redacted: event.data }
    return this.#delta(event.choice, { thinking_blocks: [writeBlock({ kind: 'reasoning', ...signed })] })
  }

  #arguments(choice: number, call: number, text: string): string {
    return this.#delta(choice, { tool_calls: [{ index: call, function: { arguments: text } }] })
  }

  #delta(index: number, delta: JsonObject, finish: string | null = null): string {
    return this.#event([{ index, delta, logprobs: null, finish_reason: finish }], null)
  }

  #event(choices: readonly JsonObject[], usage: JsonObject | null): string {
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
