// Gemini event reader: reads the events of a stream as chat events. Each event is a response that holds only what is new, and
// no event marks the start or the end. It skips what it cannot read.

import type { ChatEvent, JsonObject, ReasoningPart } from '../../core/chat.ts'
import { isRecord, recordOf } from '../../core/json-values.ts'
import type { EventReader } from '../translator.ts'
import { DIALECT } from './dialect-fields.ts'
import { readError } from './errors.ts'
import { PartialCall } from './partial-call.ts'
import {
  candidateIndex,
  candidatesIn,
  failureOf,
  idOf,
  isBlocked,
  modelOf,
  ResponseToolCallIds,
  readParts,
  stopOf,
} from './response.ts'

/** What is known of one choice so far. */
interface ChoiceState {
  callCount: number
  /** Some models repeat a finish reason in every event. The last one counts. */
  finishReason: unknown
  finishMessage: unknown
  hasParts: boolean
  /** A call whose arguments are still arriving. */
  partialCall: PartialCall | undefined
}

/** A tool call with all of its arguments. */
interface WholeCall {
  readonly id: string
  readonly name: string
  readonly signature: string | undefined
  readonly argumentsJson: string
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
    for (const [choice, state] of this.#choices) {
      this.#finishPartialCall(choice, state, events)
      if (state.finishReason === undefined) continue
      const failure = failureOf(state, state.hasParts)
      if (failure && this.#choices.size === 1) {
        events.push({ kind: 'error', error: failure })
        continue
      }
      events.push({ kind: 'stop', choice, reason: stopOf(state.finishReason, state.callCount > 0) })
      state.finishReason = undefined
    }
    return events
  }

  #choiceState(choice: number): ChoiceState {
    const state = this.#choices.get(choice) ?? {
      callCount: 0,
      finishReason: undefined,
      finishMessage: undefined,
      hasParts: false,
      partialCall: undefined,
    }
    this.#choices.set(choice, state)
    return state
  }

  #readCandidate(candidate: JsonObject, events: ChatEvent[]): void {
    const choice = candidateIndex(candidate)
    const state = this.#choiceState(choice)
    const { parts } = recordOf(candidate.content)
    for (const part of Array.isArray(parts) ? parts : []) {
      const call = recordOf(recordOf(part).functionCall)
      state.hasParts ||= recordOf(part).text !== ''
      const isPartial = call.willContinue === true || call.partialArgs !== undefined || state.partialCall !== undefined
      if (isRecord(recordOf(part).functionCall) && isPartial)
        this.#readPartialCall(choice, recordOf(part), call, events)
      else this.#readPart(choice, part, events)
    }
    if (typeof candidate.finishReason !== 'string') return
    state.finishReason = candidate.finishReason
    state.finishMessage = candidate.finishMessage
  }

  #readPartialCall(choice: number, part: JsonObject, call: JsonObject, events: ChatEvent[]): void {
    const state = this.#choiceState(choice)
    if (typeof call.name === 'string' && call.name !== '') {
      this.#finishPartialCall(choice, state, events)
      const { id, name } = call
      const signature = typeof part.thoughtSignature === 'string' ? part.thoughtSignature : undefined
      state.partialCall = new PartialCall(name, typeof id === 'string' && id !== '' ? id : undefined, signature)
    }
    state.partialCall?.add(call.partialArgs)
    if (call.willContinue !== true) this.#finishPartialCall(choice, state, events)
  }

  /** Returns the events of a call whose pieces have all arrived. */
  #finishPartialCall(choice: number, state: ChoiceState, events: ChatEvent[]): void {
    const { partialCall } = state
    if (!partialCall) return
    state.partialCall = undefined
    const { name, signature } = partialCall
    const id = this.#ids.idOfCall(name, partialCall.id)
    this.#pushCall(choice, { id, name, signature, argumentsJson: partialCall.argumentsJson() }, events)
  }

  #pushCall(choice: number, call: WholeCall, events: ChatEvent[]): void {
    const index = this.#choiceState(choice).callCount++
    const { id, name, signature, argumentsJson: text } = call
    const signed = signature === undefined ? {} : { signature }
    events.push(
      { kind: 'toolCall', choice, call: index, id, name, ...signed },
      { kind: 'arguments', choice, call: index, text },
    )
  }

  #readPart(choice: number, part: unknown, events: ChatEvent[]): void {
    for (const parsed of readParts({ content: { parts: [part] } }, this.#ids)) {
      switch (parsed.kind) {
        case 'text':
          if (parsed.text !== '') events.push({ kind: 'text', choice, text: parsed.text })
          break
        case 'reasoning':
          pushReasoning(choice, parsed, events)
          break
        case 'toolCall': {
          const { id, name, signature, arguments: argumentsJson } = parsed
          this.#pushCall(choice, { id, name, signature, argumentsJson }, events)
          break
        }
        case 'media':
          if ('base64' in parsed.source)
            events.push({ kind: 'media', choice, mediaType: parsed.mediaType, base64: parsed.source.base64 })
      }
    }
  }
}

function pushReasoning(choice: number, { text, signature }: ReasoningPart, events: ChatEvent[]): void {
  if (text !== '') events.push({ kind: 'reasoning', choice, text })
  if (signature !== undefined) events.push({ kind: 'signature', choice, signature, signedIn: DIALECT })
}
