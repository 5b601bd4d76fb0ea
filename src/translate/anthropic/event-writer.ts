// Anthropic event writer: writes chat events as the events of a streamed message. Content blocks follow one another, even if
// the provider interleaved them.

import type { ChatEvent, ChatUsage, JsonObject } from '../../core/chat.ts'
import { BracketTracker } from '../bracket-tracker.ts'
import type { EventWriter, ResponseContext } from '../translator.ts'
import { DIALECT, legalId } from './dialect-fields.ts'
import { writeError } from './errors.ts'
import { messageHead, writeStopReason, writeUsage } from './response.ts'

/** How much may wait for an unfinished tool call. Beyond it the call counts as finished. */
const MAX_HELD_CHARACTERS = 1_048_576

/** A content block. The first block of the queue is being written, the others wait for it. */
interface Block {
  readonly kind: 'text' | 'thinking' | 'redacted' | 'call'
  /** The index of the tool call; only of blocks of kind `call`. */
  readonly call?: number
  readonly head: JsonObject
  /** Deltas that wait to be written. */
  readonly heldDeltas: JsonObject[]
  /** Tells when a tool call's arguments are complete. */
  readonly brackets?: BracketTracker
  /** True: nothing more can be added. */
  isClosed: boolean
}

type EventOf<Kind extends ChatEvent['kind']> = Extract<ChatEvent, { readonly kind: Kind }>

export class AnthropicEventWriter implements EventWriter {
  readonly #context: ResponseContext
  readonly #queue: Block[] = []
  #output = ''
  #blockIndex = 0
  #heldCharacters = 0
  #hasStarted = false
  #isBlockStarted = false
  #hasFailed = false
  #hasEnded = false
  #hasCalls = false
  #hasRefused = false
  #stopEvent: EventOf<'stop'> | undefined

  constructor(context: ResponseContext) {
    this.#context = context
  }

  write(event: ChatEvent): string {
    if (this.#hasFailed || this.#hasEnded) return ''
    if (event.kind === 'error') {
      this.#hasFailed = true
      return sseEvent('error', writeError(event.error, this.#context))
    }
    if (event.kind !== 'start' && event.choice !== 0) return ''
    if (!this.#hasStarted) this.#start(event.kind === 'start' ? event.model : '')
    this.#enqueue(event)
    if (this.#stopEvent) this.#finish()
    else this.#advance()
    return this.#takeOutput()
  }

  end(used: ChatUsage | undefined): string {
    if (this.#hasFailed || this.#hasEnded) return ''
    if (!this.#hasStarted) this.#start('')
    this.#finish()
    this.#hasEnded = true
    const { reason = 'end', stopSequence = null } = this.#stopEvent ?? {}
    const stop = writeStopReason(reason, this.#hasCalls, this.#hasRefused)
    this.#writeEvent('message_delta', {
      delta: { stop_reason: stop, stop_sequence: stopSequence },
      usage: writeUsage(used),
    })
    this.#writeEvent('message_stop', {})
    return this.#takeOutput()
  }

  /** Usage is not known yet, so it is zero here: the figures come with `message_delta`. */
  #start(model: string): void {
    this.#hasStarted = true
    const rest = { content: [], stop_reason: null, stop_sequence: null, usage: writeUsage(undefined) }
    this.#writeEvent('message_start', { message: { ...messageHead(model, this.#context), ...rest } })
  }

  #enqueue(event: ChatEvent): void {
    switch (event.kind) {
      case 'text':
      case 'refusal':
        this.#hasRefused ||= event.kind === 'refusal'
        if (event.text !== '') this.#addDelta(this.#blockOf('text'), { type: 'text_delta', text: event.text })
        return
      case 'reasoning':
        if (event.text !== '')
          this.#addDelta(this.#blockOf('thinking'), { type: 'thinking_delta', thinking: event.text })
        return
      case 'signature':
        return this.#addSignature(event)
      case 'redacted':
        if (event.signedIn === DIALECT) this.#appendBlock('redacted', { type: 'redacted_thinking', data: event.data })
        return
      case 'toolCall':
        this.#hasCalls = true
        this.#appendBlock('call', { type: 'tool_use', id: legalId(event.id), name: event.name, input: {} }, event.call)
        return
      case 'arguments':
        return this.#addArguments(event)
      case 'stop':
        this.#stopEvent ??= event
    }
  }

  /** A signature closes its thought, so the next thought starts a new block. Signatures of other dialects are left out. */
  #addSignature({ signature, signedIn }: EventOf<'signature'>): void {
    if (signedIn !== DIALECT) return
    const block = this.#blockOf('thinking')
    this.#addDelta(block, { type: 'signature_delta', signature })
    block.isClosed = true
  }

  #addArguments({ call, text }: EventOf<'arguments'>): void {
    const block = this.#queue.find((queued) => queued.call === call)
    if (!block || text === '') return
    block.brackets?.push(text)
    this.#addDelta(block, { type: 'input_json_delta', partial_json: text })
  }

  /** The last block if it has this kind and is open, otherwise a new block. */
  #blockOf(kind: 'text' | 'thinking'): Block {
    const last = this.#queue.at(-1)
    if (last?.kind === kind && !last.isClosed) return last
    return this.#appendBlock(
      kind,
      kind === 'text' ? { type: 'text', text: '' } : { type: 'thinking', thinking: '', signature: '' },
    )
  }

  #appendBlock(kind: Block['kind'], head: JsonObject, call?: number): Block {
    const callFields = call === undefined ? {} : { call, brackets: new BracketTracker() }
    const block = { kind, head, heldDeltas: [], isClosed: kind === 'redacted', ...callFields }
    this.#queue.push(block)
    this.#countHeld(block, head)
    return block
  }

  #addDelta(block: Block, delta: JsonObject): void {
    block.heldDeltas.push(delta)
    this.#countHeld(block, delta)
  }

  #countHeld(block: Block, held: JsonObject): void {
    if (block !== this.#queue[0]) this.#heldCharacters += JSON.stringify(held).length
  }

  /** Writes the first block, and the next ones as long as the block before them is complete. */
  #advance(): void {
    const isFull = this.#heldCharacters > MAX_HELD_CHARACTERS
    for (let block = this.#queue[0]; block; block = this.#queue[0]) {
      this.#writeBlock(block)
      const isComplete = isFull || !block.brackets || block.brackets.isWhole
      if (!isComplete || this.#queue.length === 1) break
      this.#closeBlock()
    }
    if (this.#queue.length <= 1) this.#heldCharacters = 0
  }

  #finish(): void {
    for (let block = this.#queue[0]; block; block = this.#queue[0]) {
      this.#writeBlock(block)
      this.#closeBlock()
    }
  }

  #writeBlock(block: Block): void {
    const index = this.#blockIndex
    if (!this.#isBlockStarted) this.#writeEvent('content_block_start', { index, content_block: block.head })
    this.#isBlockStarted = true
    for (const delta of block.heldDeltas) this.#writeEvent('content_block_delta', { index, delta })
    block.heldDeltas.length = 0
  }

  #closeBlock(): void {
    this.#writeEvent('content_block_stop', { index: this.#blockIndex++ })
    this.#isBlockStarted = false
    this.#queue.shift()
  }

  #writeEvent(type: string, fields: JsonObject): void {
    this.#output += sseEvent(type, JSON.stringify({ type, ...fields }))
  }

  #takeOutput(): string {
    const out = this.#output
    this.#output = ''
    return out
  }
}

function sseEvent(type: string, data: string): string {
  return `event: ${type}\ndata: ${data}\n\n`
}
