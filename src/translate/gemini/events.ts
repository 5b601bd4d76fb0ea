// Gemini's streams: each event a whole answer as far as it is new, with neither a beginning nor a terminal event.

import type { JsonObject, NeutralEvent, NeutralUsage, StopReason } from '../../core/chat.ts'
import { isRecord, recordOf } from '../../core/json-values.ts'
import { Brackets } from '../brackets.ts'
import type { AnswerContext, EventReader, EventWriter } from '../translator.ts'
import {
  AnswerIds,
  candidatesIn,
  finishOf,
  idOf,
  indexOf,
  isBlocked,
  modelOf,
  partsIn,
  pictureOf,
  stopOf,
  usageMetadata,
  writePart,
} from './answer.ts'
import { DIALECT } from './dialect-fields.ts'
import { errorBody, readError } from './errors.ts'
import { PartialCall } from './partial.ts'
import { UNSIGNED } from './parts.ts'

/** Where one of the answers stands. */
interface Standing {
  calls: number
  /** Some models say in every event that they stopped: the last one counts. */
  stop: unknown
  partial: PartialCall | undefined
}

export class GeminiEventReader implements EventReader {
  readonly #ids = new AnswerIds()
  readonly #choices = new Map<number, Standing>()
  #started = false

  read(data: JsonObject): readonly NeutralEvent[] {
    const events: NeutralEvent[] = []
    if (isRecord(data.error)) return [{ kind: 'error', error: readError(0, data) }]
    if (!this.#started) {
      this.#started = true
      this.#ids.answer = idOf(data)
      events.push({ kind: 'start', id: this.#ids.answer, model: modelOf(data) })
    }
    const candidates = candidatesIn(data)
    if (candidates.length === 0 && isBlocked(data)) this.#standing(0).stop = 'SAFETY'
    for (const candidate of candidates) this.#readCandidate(candidate, events)
    return events
  }

  end(): readonly NeutralEvent[] {
    const events: NeutralEvent[] = []
    for (const [choice, standing] of this.#choices) {
      this.#finish(choice, standing, events)
      if (standing.stop === undefined) continue
      events.push({ kind: 'stop', choice, reason: stopOf(standing.stop, standing.calls > 0) })
      standing.stop = undefined
    }
    return events
  }

  #standing(choice: number): Standing {
    const standing = this.#choices.get(choice) ?? { calls: 0, stop: undefined, partial: undefined }
    this.#choices.set(choice, standing)
    return standing
  }

  #readCandidate(candidate: JsonObject, events: NeutralEvent[]): void {
    const choice = indexOf(candidate)
    const standing = this.#standing(choice)
    const { parts } = recordOf(candidate.content)
    for (const part of Array.isArray(parts) ? parts : []) {
      const call = recordOf(recordOf(part).functionCall)
      const inPieces = call.willContinue === true || call.partialArgs !== undefined || standing.partial !== undefined
      if (isRecord(recordOf(part).functionCall) && inPieces) this.#readPieces(choice, recordOf(part), call, events)
      else this.#readWhole(choice, part, events)
    }
    if (typeof candidate.finishReason === 'string') standing.stop = candidate.finishReason
  }

  #readPieces(choice: number, part: JsonObject, call: JsonObject, events: NeutralEvent[]): void {
    const standing = this.#standing(choice)
    if (typeof call.name === 'string' && call.name !== '') {
      this.#finish(choice, standing, events)
      const { id, name } = call
      const signature = typeof part.thoughtSignature === 'string' ? part.thoughtSignature : undefined
      standing.partial = new PartialCall(name, typeof id === 'string' && id !== '' ? id : undefined, signature)
    }
    standing.partial?.add(call.partialArgs)
    if (call.willContinue !== true) this.#finish(choice, standing, events)
  }

  /** A call whose pieces have all come. */
  #finish(choice: number, standing: Standing, events: NeutralEvent[]): void {
    const { partial } = standing
    if (!partial) return
    standing.partial = undefined
    const { name, signature } = partial
    const id = this.#ids.called(name, partial.id)
    this.#call(choice, { id, name, ...(signature === undefined ? {} : { signature }) }, partial.json(), events)
  }

  #call(
    choice: number,
    call: { readonly id: string; readonly name: string; readonly signature?: string },
    text: string,
    events: NeutralEvent[],
  ): void {
    const at = this.#standing(choice).calls++
    events.push({ kind: 'toolCall', choice, call: at, ...call }, { kind: 'arguments', choice, call: at, text })
  }

  #readWhole(choice: number, part: unknown, events: NeutralEvent[]): void {
    for (const read of partsIn({ content: { parts: [part] } }, this.#ids)) {
      if (read.kind === 'text' && read.text !== '') events.push({ kind: 'text', choice, text: read.text })
      else if (read.kind === 'reasoning') {
        if (read.text !== '') events.push({ kind: 'reasoning', choice, text: read.text })
        const { signature } = read
        if (signature !== undefined) events.push({ kind: 'signature', choice, signature, signedIn: DIALECT })
      } else if (read.kind === 'toolCall') {
        const { id, name, signature } = read
        this.#call(choice, { id, name, ...(signature === undefined ? {} : { signature }) }, read.arguments, events)
      } else if (read.kind === 'media' && 'base64' in read.source) {
        events.push({ kind: 'media', choice, mediaType: read.mediaType, base64: read.source.base64 })
      }
    }
  }
}

/** A tool call while it is collected: Gemini sends calls whole. */
interface Call {
  readonly id: string
  readonly name: string
  readonly signature: string | undefined
  readonly brackets: Brackets
  text: string
}

interface Written {
  readonly calls: Map<number, Call>
  /** One has been written. */
  hasCalled: boolean
  stop: StopReason | undefined
  /** The tool of a call that could not be written. */
  broken: string | undefined
}

/** Characters of calls held back at a time: beyond them arguments are cut, which makes their call a broken one. */
const MOST_CHARACTERS = 16_777_216
/** What a call weighs beside its text. */
const CALL_CHARACTERS = 256

export class GeminiEventWriter implements EventWriter {
  readonly #context: AnswerContext
  readonly #choices = new Map<number, Written>()
  #model: string
  #held = 0
  #hasBegun = false
  #hasFailed = false

  constructor(context: AnswerContext) {
    this.#context = context
    this.#model = context.model
  }

  write(event: NeutralEvent): string {
    if (this.#hasFailed) return ''
    switch (event.kind) {
      case 'start':
        this.#model = event.model || this.#model
        return ''
      case 'error':
        return this.#fail(errorBody(event.error, this.#context))
      case 'toolCall':
        return this.#open(event)
      case 'arguments':
        this.#collect(this.#choice(event.choice).calls.get(event.call), event.text)
        return ''
      case 'stop': {
        const flushed = this.#flush(event.choice)
        this.#choice(event.choice).stop = event.reason
        return flushed
      }
      default:
        return this.#content(event)
    }
  }

  end(used: NeutralUsage | undefined): string {
    if (this.#hasFailed) return ''
    let written = ''
    for (const choice of this.#choices.keys()) written += this.#flush(choice)
    const candidates = [...this.#choices].flatMap(([index, { stop, broken }]) =>
      stop === undefined
        ? []
        : [{ content: { parts: [{ text: '' }], role: 'model' }, ...finishOf(stop, broken), index }],
    )
    const usage = used ? { usageMetadata: usageMetadata(used) } : {}
    if (candidates.length > 0 || used) written += this.#frame(this.#chunk(candidates, usage))
    if (this.#context.asEvents) return written
    return `${written}${this.#hasBegun ? ']' : '[]'}`
  }

  #choice(index: number): Written {
    const choice = this.#choices.get(index) ?? {
      calls: new Map(),
      hasCalled: false,
      stop: undefined,
      broken: undefined,
    }
    this.#choices.set(index, choice)
    return choice
  }

  #open({ choice, call, id, name, signature }: NeutralEvent & { readonly kind: 'toolCall' }): string {
    const flushed = this.#flush(choice, true)
    const opened: Call = { id, name, signature, brackets: new Brackets(), text: '' }
    this.#held += CALL_CHARACTERS + id.length + name.length
    if (this.#held <= MOST_CHARACTERS) this.#choice(choice).calls.set(call, opened)
    else this.#choice(choice).broken = name
    return flushed
  }

  #collect(call: Call | undefined, text: string): void {
    this.#held += text.length
    if (!call || this.#held > MOST_CHARACTERS) return
    call.text += text
    call.brackets.push(text)
  }

  /** The calls collected so far, or, as some arrive interleaved, those at their head that nothing can be added to. */
  #flush(index: number, onlyWhole = false): string {
    const choice = this.#choice(index)
    const parts: JsonObject[] = []
    for (const [call, { id, name, signature, brackets, text }] of choice.calls) {
      if (onlyWhole && !brackets.isWhole) break
      choice.calls.delete(call)
      const args = text.trim() === '' ? '{}' : text
      // Gemini itself, handed back what another model called, wants the first call signed.
      const sign = signature ?? (choice.hasCalled ? undefined : UNSIGNED)
      const signed = sign === undefined ? {} : { signature: sign }
      const written = writePart({ kind: 'toolCall', id, name, arguments: args, ...signed })
      if (written.length === 0) choice.broken ??= name
      else choice.hasCalled = true
      parts.push(...written)
      this.#held -= CALL_CHARACTERS + id.length + name.length + text.length
    }
    return parts.length === 0 ? '' : this.#parts(index, parts)
  }

  #content(event: Content): string {
    const parts = contentOf(event)
    if (parts.length === 0) return ''
    const flushed = this.#flush(event.choice)
    return flushed + this.#parts(event.choice, parts)
  }

  #parts(index: number, parts: readonly JsonObject[]): string {
    return this.#frame(this.#chunk([{ content: { parts, role: 'model' }, index }], {}))
  }

  #chunk(candidates: readonly JsonObject[], more: JsonObject): JsonObject {
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
    const opened = this.#hasBegun ? ',\r\n' : '['
    this.#hasBegun = true
    return `${opened}${json}\n`
  }

  #fail(body: JsonObject): string {
    const framed = this.#frame(body)
    this.#hasFailed = true
    return this.#context.asEvents ? framed : `${framed}]`
  }
}

type Content = Exclude<NeutralEvent, { readonly kind: 'start' | 'error' | 'toolCall' | 'arguments' | 'stop' }>

function contentOf(event: Content): JsonObject[] {
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
