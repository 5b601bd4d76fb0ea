// Gemini's streams: each event a whole answer as far as it is new, with neither a beginning nor a terminal event.

import type { ChatEvent, ChatUsage, JsonObject, StopReason } from '../../core/chat.ts'
import { isRecord, recordOf } from '../../core/json-values.ts'
import { BracketTracker } from '../bracket-tracker.ts'
import type { EventReader, EventWriter, ResponseContext } from '../translator.ts'
import { DIALECT } from './dialect-fields.ts'
import { errorBody, readError } from './errors.ts'
import { PartialCall } from './partial-call.ts'
import { SKIP_SIGNATURE_CHECK } from './parts.ts'
import {
  candidateIndex,
  candidatesIn,
  finishOf,
  idOf,
  isBlocked,
  modelOf,
  pictureOf,
  ResponseToolCallIds,
  readParts,
  stopOf,
  writePart,
  writeUsage,
} from './response.ts'

/** Where one of the answers stands. */
interface ChoiceState {
  callCount: number
  /** Some models say in every event that they stopped: the last one counts. */
  finishReason: unknown
  partialCall: PartialCall | undefined
}

export class GeminiEventReader implements EventReader {
  readonly #ids = new ResponseToolCallIds()
  readonly #choices = new Map<number, ChoiceState>()
  #hasStarted = false

  read(data: JsonObject): readonly ChatEvent[] {
    const events: ChatEvent[] = []
    if (isRecord(data.error)) return [{ kind: 'error', error: readError(0, data) }]
    if (!this.#hasStarted) {
      this.#hasStarted = true
      this.#ids.responseId = idOf(data)
      events.push({ kind: 'start', id: this.#ids.responseId, model: modelOf(data) })
    }
    const candidates = candidatesIn(data)
    if (candidates.length === 0 && isBlocked(data)) this.#choiceState(0).finishReason = 'SAFETY'
    for (const candidate of candidates) this.#readCandidate(candidate, events)
    return events
  }

  end(): readonly ChatEvent[] {
    const events: ChatEvent[] = []
    for (const [choice, standing] of this.#choices) {
      this.#finishPartialCall(choice, standing, events)
      if (standing.finishReason === undefined) continue
      events.push({ kind: 'stop', choice, reason: stopOf(standing.finishReason, standing.callCount > 0) })
      standing.finishReason = undefined
    }
    return events
  }

  #choiceState(choice: number): ChoiceState {
    const standing = this.#choices.get(choice) ?? { callCount: 0, finishReason: undefined, partialCall: undefined }
    this.#choices.set(choice, standing)
    return standing
  }

  #readCandidate(candidate: JsonObject, events: ChatEvent[]): void {
    const choice = candidateIndex(candidate)
    const standing = this.#choiceState(choice)
    const { parts } = recordOf(candidate.content)
    for (const part of Array.isArray(parts) ? parts : []) {
      const call = recordOf(recordOf(part).functionCall)
      const inPieces =
        call.willContinue === true || call.partialArgs !== undefined || standing.partialCall !== undefined
      if (isRecord(recordOf(part).functionCall) && inPieces) this.#readPartialCall(choice, recordOf(part), call, events)
      else this.#readPart(choice, part, events)
    }
    if (typeof candidate.finishReason === 'string') standing.finishReason = candidate.finishReason
  }

  #readPartialCall(choice: number, part: JsonObject, call: JsonObject, events: ChatEvent[]): void {
    const standing = this.#choiceState(choice)
    if (typeof call.name === 'string' && call.name !== '') {
      this.#finishPartialCall(choice, standing, events)
      const { id, name } = call
      const signature = typeof part.thoughtSignature === 'string' ? part.thoughtSignature : undefined
      standing.partialCall = new PartialCall(name, typeof id === 'string' && id !== '' ? id : undefined, signature)
    }
    standing.partialCall?.add(call.partialArgs)
    if (call.willContinue !== true) this.#finishPartialCall(choice, standing, events)
  }

  /** A call whose pieces have all come. */
  #finishPartialCall(choice: number, standing: ChoiceState, events: ChatEvent[]): void {
    const { partialCall } = standing
    if (!partialCall) return
    standing.partialCall = undefined
    const { name, signature } = partialCall
    const id = this.#ids.idOfCall(name, partialCall.id)
    this.#pushCall(
      choice,
      { id, name, ...(signature === undefined ? {} : { signature }) },
      partialCall.argumentsJson(),
      events,
    )
  }

  #pushCall(
    choice: number,
    call: { readonly id: string; readonly name: string; readonly signature?: string },
    text: string,
    events: ChatEvent[],
  ): void {
    const at = this.#choiceState(choice).callCount++
    events.push({ kind: 'toolCall', choice, call: at, ...call }, { kind: 'arguments', choice, call: at, text })
  }

  #readPart(choice: number, part: unknown, events: ChatEvent[]): void {
    for (const read of readParts({ content: { parts: [part] } }, this.#ids)) {
      if (read.kind === 'text' && read.text !== '') events.push({ kind: 'text', choice, text: read.text })
      else if (read.kind === 'reasoning') {
        if (read.text !== '') events.push({ kind: 'reasoning', choice, text: read.text })
        const { signature } = read
        if (signature !== undefined) events.push({ kind: 'signature', choice, signature, signedIn: DIALECT })
      } else if (read.kind === 'toolCall') {
        const { id, name, signature } = read
        this.#pushCall(choice, { id, name, ...(signature === undefined ? {} : { signature }) }, read.arguments, events)
      } else if (read.kind === 'media' && 'base64' in read.source) {
        events.push({ kind: 'media', choice, mediaType: read.mediaType, base64: read.source.base64 })
      }
    }
  }
}

/** A tool call while it is collected: Gemini sends calls whole. */
interface HeldCall {
  readonly id: string
  readonly name: string
  readonly signature: string | undefined
  readonly brackets: BracketTracker
  text: string
}

interface WrittenChoice {
  readonly heldCalls: Map<number, HeldCall>
  /** One has been written. */
  hasWrittenCall: boolean
  stop: StopReason | undefined
  /** The tool of a call that could not be written. */
  malformedTool: string | undefined
}

/** Characters of calls held back at a time: beyond them arguments are cut, which makes their call a broken one. */
const MAX_HELD_CHARACTERS = 16_777_216
/** What a call weighs beside its text. */
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
    const opened: HeldCall = { id, name, signature, brackets: new BracketTracker(), text: '' }
    this.#heldCharacters += CALL_OVERHEAD_CHARACTERS + id.length + name.length
    if (this.#heldCharacters <= MAX_HELD_CHARACTERS) this.#choice(choice).heldCalls.set(call, opened)
    else this.#choice(choice).malformedTool = name
    return flushed
  }

  #addArguments(call: HeldCall | undefined, text: string): void {
    this.#heldCharacters += text.length
    if (!call || this.#heldCharacters > MAX_HELD_CHARACTERS) return
    call.text += text
    call.brackets.push(text)
  }

  /** The calls collected so far, or, as some arrive interleaved, those at their head that nothing can be added to. */
  #flushCalls(index: number, onlyWhole = false): string {
    const choice = this.#choice(index)
    const parts: JsonObject[] = []
    for (const [call, { id, name, signature, brackets, text }] of choice.heldCalls) {
      if (onlyWhole && !brackets.isWhole) break
      choice.heldCalls.delete(call)
      const args = text.trim() === '' ? '{}' : text
      // Gemini itself, handed back what another model called, wants the first call signed.
      const sign = signature ?? (choice.hasWrittenCall ? undefined : SKIP_SIGNATURE_CHECK)
      const signed = sign === undefined ? {} : { signature: sign }
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

  #buildChunk(candidates: readonly JsonObject[], more: JsonObject): JsonObject {
    return {
      ...(candidates.length > 0 ? { candidates } : {}),
      ...more,
      modelVersion: this.#model,
      responseId: this.#context.callId,
    }
  }

  #frame(chunk: JsonObject): string {
    const json = JSON.stringify(chunk)
    if (this.#context.asEvents) return `data: ${json}\r\n\r\n`
    const opened = this.#hasStarted ? ',\r\n' : '['
    this.#hasStarted = true
    return `${opened}${json}\n`
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
