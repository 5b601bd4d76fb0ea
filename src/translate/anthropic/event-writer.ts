// Anthropic answers, streamed: written. Its content blocks come one after the other, whatever came at once elsewhere.

import type { JsonObject, NeutralEvent, NeutralUsage } from '../../core/chat.ts'
import { Brackets } from '../brackets.ts'
import type { AnswerContext, EventWriter } from '../translator.ts'
import { messageHead, writeStop, writeUsage } from './answer.ts'
import { DIALECT, legalId } from './dialect-fields.ts'
import { writeError } from './errors.ts'

/** Characters held back for a call that does not come to its end. Beyond that it is taken to have ended. */
const MOST_HELD = 1_048_576

/** A content block. The first of the queue is being written, the others wait for it. */
interface Block {
  readonly kind: 'text' | 'thinking' | 'redacted' | 'call'
  /** Of a call. */
  readonly call?: number
  readonly head: JsonObject
  /** Deltas that are not written yet. */
  readonly held: JsonObject[]
  /** Follows a call's arguments. */
  readonly brackets?: Brackets
  /** Nothing can be added. */
  isClosed: boolean
}

type Said<Kind extends NeutralEvent['kind']> = Extract<NeutralEvent, { readonly kind: Kind }>

export class MessageWriter implements EventWriter {
  readonly #context: AnswerContext
  readonly #queue: Block[] = []
  #out = ''
  #index = 0
  #heldCharacters = 0
  #hasStarted = false
  #isOpen = false
  #hasFailed = false
  #hasEnded = false
  #hasCalls = false
  #hasRefused = false
  #stop: Said<'stop'> | undefined

  constructor(context: AnswerContext) {
    this.#context = context
  }

  write(event: NeutralEvent): string {
    if (this.#hasFailed || this.#hasEnded) return ''
    if (event.kind === 'error') {
      this.#hasFailed = true
      return sse('error', writeError(event.error, this.#context))
    }
    if (event.kind !== 'start' && event.choice !== 0) return ''
    if (!this.#hasStarted) this.#start(event.kind === 'start' ? event.model : '')
    this.#take(event)
    if (this.#stop) this.#finish()
    else this.#advance()
    return this.#taken()
  }

  end(used: NeutralUsage | undefined): string {
    if (this.#hasFailed || this.#hasEnded) return ''
    if (!this.#hasStarted) this.#start('')
    this.#finish()
    this.#hasEnded = true
    const { reason = 'end', stopSequence = null } = this.#stop ?? {}
    const stop = writeStop(reason, this.#hasCalls, this.#hasRefused)
    this.#event('message_delta', { delta: { stop_reason: stop, stop_sequence: stopSequence }, usage: writeUsage(used) })
    this.#event('message_stop', {})
    return this.#taken()
  }

  /** How much was read is not known yet: the true figures come with the last delta. */
  #start(model: string): void {
    this.#hasStarted = true
    const rest = { content: [], stop_reason: null, stop_sequence: null, usage: writeUsage(undefined) }
    this.#event('message_start', { message: { ...messageHead(model, this.#context), ...rest } })
  }

  #take(event: NeutralEvent): void {
    switch (event.kind) {
      case 'text':
      case 'refusal':
        this.#hasRefused ||= event.kind === 'refusal'
        if (event.text !== '') this.#add(this.#blockOf('text'), { type: 'text_delta', text: event.text })
        return
      case 'reasoning':
        if (event.text !== '') this.#add(this.#blockOf('thinking'), { type: 'thinking_delta', thinking: event.text })
        return
      case 'signature':
        return this.#sign(event)
      case 'redacted':
        if (event.signedIn === DIALECT) this.#append('redacted', { type: 'redacted_thinking', data: event.data })
        return
      case 'toolCall':
        this.#hasCalls = true
        this.#append('call', { type: 'tool_use', id: legalId(event.id), name: event.name, input: {} }, event.call)
        return
      case 'arguments':
        return this.#addArguments(event)
      case 'stop':
        this.#stop ??= event
    }
  }

  /** The signature closes its thought: what is thought next is another block. Those of others mean nothing here. */
  #sign({ signature, signedIn }: Said<'signature'>): void {
    if (signedIn !== DIALECT) return
    const block = this.#blockOf('thinking')
    this.#add(block, { type: 'signature_delta', signature })
    block.isClosed = true
  }

  #addArguments({ call, text }: Said<'arguments'>): void {
    const block = this.#queue.find((queued) => queued.call === call)
    if (!block || text === '') return
    block.brackets?.push(text)
    this.#add(block, { type: 'input_json_delta', partial_json: text })
  }

  /** The last block, if it is of this kind and open; otherwise a new one. */
  #blockOf(kind: 'text' | 'thinking'): Block {
    const last = this.#queue.at(-1)
    if (last?.kind === kind && !last.isClosed) return last
    return this.#append(
      kind,
      kind === 'text' ? { type: 'text', text: '' } : { type: 'thinking', thinking: '', signature: '' },
    )
  }

  #append(kind: Block['kind'], head: JsonObject, call?: number): Block {
    const more = call === undefined ? {} : { call, brackets: new Brackets() }
    const block = { kind, head, held: [], isClosed: kind === 'redacted', ...more }
    this.#queue.push(block)
    this.#count(block, head)
    return block
  }

  #add(block: Block, delta: JsonObject): void {
    block.held.push(delta)
    this.#count(block, delta)
  }

  #count(block: Block, held: JsonObject): void {
    if (block !== this.#queue[0]) this.#heldCharacters += JSON.stringify(held).length
  }

  /** Writes the first block, and goes on to the next where it has ended: a call's arguments may come late. */
  #advance(): void {
    const isPressed = this.#heldCharacters > MOST_HELD
    for (let block = this.#queue[0]; block; block = this.#queue[0]) {
      this.#pour(block)
      const hasEnded = isPressed || !block.brackets || block.brackets.isWhole
      if (!hasEnded || this.#queue.length === 1) break
      this.#close()
    }
    if (this.#queue.length <= 1) this.#heldCharacters = 0
  }

  #finish(): void {
    for (let block = this.#queue[0]; block; block = this.#queue[0]) {
      this.#pour(block)
      this.#close()
    }
  }

  #pour(block: Block): void {
    const index = this.#index
    if (!this.#isOpen) this.#event('content_block_start', { index, content_block: block.head })
    this.#isOpen = true
    for (const delta of block.held) this.#event('content_block_delta', { index, delta })
    block.held.length = 0
  }

  #close(): void {
    this.#event('content_block_stop', { index: this.#index++ })
    this.#isOpen = false
    this.#queue.shift()
  }

  #event(type: string, fields: JsonObject): void {
    this.#out += sse(type, JSON.stringify({ type, ...fields }))
  }

  #taken(): string {
    const out = this.#out
    this.#out = ''
    return out
  }
}

function sse(type: string, data: string): string {
  return `event: ${type}\ndata: ${data}\n\n`
}
