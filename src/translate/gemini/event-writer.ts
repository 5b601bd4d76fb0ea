// Gemini event writer: writes chat events as the events of a stream, or as the elements of one JSON array. Gemini sends tool
// calls whole, so a call waits for its last piece.

import type { ChatEvent, ChatUsage, JsonObject, StopReason } from '../../core/chat.ts'
import { BracketTracker } from '../bracket-tracker.ts'
import type { EventWriter, ResponseContext } from '../translator.ts'
import { DIALECT } from './dialect-fields.ts'
import { errorBody } from './errors.ts'
import { SKIP_SIGNATURE_CHECK } from './parts.ts'
import { finishOf, pictureOf, writePart, writeUsage } from './response.ts'

/** A tool call whose pieces are being collected. */
interface HeldCall {
  readonly id: string
  readonly name: string
  readonly signature: string | undefined
  readonly brackets: BracketTracker
  text: string
}

interface WrittenChoice {
  readonly heldCalls: Map<number, HeldCall>
  /** True: a call of this choice has been written, and with it the signature that Gemini needs. */
  hasWrittenCall: boolean
  stop: StopReason | undefined
  /** The tool of a call that was left out because its arguments are malformed. */
  malformedTool: string | undefined
}

/** How much may wait at a time. Beyond it arguments are cut, so their call counts as malformed. */
const MAX_HELD_CHARACTERS = 16_777_216
/** The characters that a held call counts for in addition to its text. */
const CALL_OVERHEAD_CHARACTERS = 256

export class GeminiEventWriter implements EventWriter {
  readonly #context: ResponseContext
  readonly #choices = new Map<number, WrittenChoice>()
  #model: string
  #heldCharacters = 0
  #hasStarted = false
  #hasFailed = false

  constructor(context: ResponseContext) {
    this.#context = context
    this.#model = context.model
  }

  write(event: ChatEvent): string {
    if (this.#hasFailed) return ''
    switch (event.kind) {
      case 'start':
        this.#model = event.model || this.#model
        return ''
      case 'error':
        return this.#fail(errorBody(event.error, this.#context))
      case 'toolCall':
        return this.#startCall(event)
      case 'arguments':
        this.#addArguments(this.#choice(event.choice).heldCalls.get(event.call), event.text)
        return ''
      case 'stop': {
        const flushed = this.#flushCalls(event.choice)
        this.#choice(event.choice).stop = event.reason
        return flushed
      }
      default:
        return this.#writeContent(event)
    }
  }

  end(used: ChatUsage | undefined): string {
    if (this.#hasFailed) return ''
    let written = ''
    for (const choice of this.#choices.keys()) written += this.#flushCalls(choice)
    const candidates = [...this.#choices].flatMap(([index, { stop, malformedTool }]) =>
      stop === undefined
        ? []
        : [{ content: { parts: [{ text: '' }], role: 'model' }, ...finishOf(stop, malformedTool), index }],
    )
    const usage = used ? { usageMetadata: writeUsage(used) } : {}
    if (candidates.length > 0 || used) written += this.#frame(this.#buildChunk(candidates, usage))
    if (this.#context.asEvents) return written
    return `${written}${this.#hasStarted ? ']' : '[]'}`
  }

  #choice(index: number): WrittenChoice {
    const choice = this.#choices.get(index) ?? {
      heldCalls: new Map(),
      hasWrittenCall: false,
      stop: undefined,
      malformedTool: undefined,
    }
    this.#choices.set(index, choice)
    return choice
  }

  #startCall({ choice, call, id, name, signature }: ChatEvent & { readonly kind: 'toolCall' }): string {
    const flushed = this.#flushCalls(choice, true)
    const heldCall: HeldCall = { id, name, signature, brackets: new BracketTracker(), text: '' }
    this.#heldCharacters += CALL_OVERHEAD_CHARACTERS + id.length + name.length
    if (this.#heldCharacters <= MAX_HELD_CHARACTERS) this.#choice(choice).heldCalls.set(call, heldCall)
    else this.#choice(choice).malformedTool = name
    return flushed
  }

  #addArguments(call: HeldCall | undefined, text: string): void {
    this.#heldCharacters += text.length
    if (!call || this.#heldCharacters > MAX_HELD_CHARACTERS) return
    call.text += text
    call.brackets.push(text)
  }

  /** Writes the held calls. @param onlyWhole true: stops at the first incomplete call, since calls can arrive interleaved */
  #flushCalls(index: number, onlyWhole = false): string {
    const choice = this.#choice(index)
    const parts: JsonObject[] = []
    for (const [call, { id, name, signature, brackets, text }] of choice.heldCalls) {
      if (onlyWhole && !brackets.isWhole) break
      choice.heldCalls.delete(call)
      const args = text.trim() === '' ? '{}' : text
      // Gemini needs a signature on the first call when the caller sends the conversation back.
      const callSignature = signature ?? (choice.hasWrittenCall ? undefined : SKIP_SIGNATURE_CHECK)
      const signed = callSignature === undefined ? {} : { signature: callSignature }
      const written = writePart({ kind: 'toolCall', id, name, arguments: args, ...signed })
      if (written.length === 0) choice.malformedTool ??= name
      else choice.hasWrittenCall = true
      parts.push(...written)
      this.#heldCharacters -= CALL_OVERHEAD_CHARACTERS + id.length + name.length + text.length
    }
    return parts.length === 0 ? '' : this.#writeParts(index, parts)
  }

  #writeContent(event: ContentEvent): string {
    const parts = contentOf(event)
    if (parts.length === 0) return ''
    const flushed = this.#flushCalls(event.choice)
    return flushed + this.#writeParts(event.choice, parts)
  }

  #writeParts(index: number, parts: readonly JsonObject[]): string {
    return this.#frame(this.#buildChunk([{ content: { parts, role: 'model' }, index }], {}))
  }

  #buildChunk(candidates: readonly JsonObject[], fields: JsonObject): JsonObject {
    return {
      ...(candidates.length > 0 ? { candidates } : {}),
      ...fields,
      modelVersion: this.#model,
      responseId: this.#context.callId,
    }
  }

  #frame(chunk: JsonObject): string {
    const json = JSON.stringify(chunk)
    if (this.#context.asEvents) return `data: ${json}\r\n\r\n`
    const prefix = this.#hasStarted ? ',\r\n' : '['
    this.#hasStarted = true
    return `${prefix}${json}\n`
  }

  #fail(body: JsonObject): string {
    const framed = this.#frame(body)
    this.#hasFailed = true
    return this.#context.asEvents ? framed : `${framed}]`
  }
}

type ContentEvent = Exclude<ChatEvent, { readonly kind: 'start' | 'error' | 'toolCall' | 'arguments' | 'stop' }>

function contentOf(event: ContentEvent): JsonObject[] {
  switch (event.kind) {
    case 'text':
    case 'refusal':
      return event.text === '' ? [] : [{ text: event.text }]
    case 'reasoning':
      return event.text === '' ? [] : [{ text: event.text, thought: true }]
    case 'media':
      return writePart(pictureOf(event.mediaType, event.base64))
    case 'signature':
      if (event.signedIn !== DIALECT) return []
      return writePart({ kind: 'reasoning', text: '', signature: event.signature, signedIn: DIALECT })
    default:
      return []
  }
}
