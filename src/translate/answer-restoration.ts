// Answer restoration: undoes in an answer what the adaptation changed in its request: the names of tools and of their
// arguments, and the object around an answer whose schema is no object's.

import type { ChatError, ChatEvent, ChatResponse, Part } from '../core/chat.ts'
import { BracketTracker } from './bracket-tracker.ts'
import { withArgumentNames } from './property-names.ts'

/** The property that holds an answer whose schema is no object's. */
export const WRAPPED_PROPERTY = 'value'

/** What an answer needs to be put back into the caller's form. */
export interface AnswerChanges {
  /** The caller's names of tools by the names that were sent. */
  readonly toolNames: ReadonlyMap<string, string>
  /** By the sent name of the tool, the caller's names of its arguments by the names that were sent. */
  readonly argumentNames: ReadonlyMap<string, ReadonlyMap<string, string>>
  /** True: the answer is the property `value` of an object. */
  readonly isWrapped: boolean
}

/** A provider's error by the caller's names of its tools. */
export function withCallerNames(error: ChatError, { toolNames }: AnswerChanges): ChatError {
  let { message } = error
  for (const [sent, own] of toolNames) if (message.includes(sent)) message = message.replaceAll(sent, () => own)
  return message === error.message ? error : { ...error, message }
}

/** Longer arguments are passed on as they are. */
const MAX_HELD_CHARACTERS = 4_194_304

/** A call whose arguments have to be whole before their names can be restored. */
interface HeldCall {
  readonly names: ReadonlyMap<string, string>
  readonly brackets: BracketTracker
  text: string
}

/** Restores one answer, whole or event by event. Never throws. */
export class AnswerRestorer {
  readonly #changes: AnswerChanges
  readonly #unwrappers = new Map<number, Unwrapper>()
  /** By choice and call. */
  readonly #heldCalls = new Map<string, HeldCall>()

  constructor(changes: AnswerChanges) {
    this.#changes = changes
  }

  restoreResponse(response: ChatResponse): ChatResponse {
    const choices = response.choices.map((choice, index) => ({
      ...choice,
      parts: choice.parts.map((part) => this.#restorePart(part, index)),
    }))
    return { ...response, choices }
  }

  /** The events to write in place of this one; none if it is held back. */
  restoreEvent(event: ChatEvent): readonly ChatEvent[] {
    switch (event.kind) {
      case 'text':
        return this.#changes.isWrapped ? [{ ...event, text: this.#unwrap(event.text, event.choice) }] : [event]
      case 'toolCall':
        return [this.#startCall(event)]
      case 'arguments':
        return this.#holdArguments(event)
      case 'error':
        return [{ ...event, error: withCallerNames(event.error, this.#changes) }]
      case 'stop':
        return [...this.#releaseAll(event.choice), event]
    }
    return [event]
  }

  #startCall(event: EventOf<'toolCall'>): ChatEvent {
    const names = this.#changes.argumentNames.get(event.name)
    if (names) this.#heldCalls.set(keyOf(event), { names, brackets: new BracketTracker(), text: '' })
    return { ...event, name: this.#callerName(event.name) }
  }

  #holdArguments(event: EventOf<'arguments'>): readonly ChatEvent[] {
    const held = this.#heldCalls.get(keyOf(event))
    if (!held) return [event]
    held.text += event.text
    held.brackets.push(event.text)
    if (!held.brackets.isWhole && held.text.length <= MAX_HELD_CHARACTERS) return []
    this.#heldCalls.delete(keyOf(event))
    return [{ ...event, text: withArgumentNames(held.text, held.names) }]
  }

  /** Arguments that never became whole. */
  #releaseAll(choice: number): ChatEvent[] {
    const released: ChatEvent[] = []
    for (const [key, { text }] of this.#heldCalls) {
      const [heldChoice, call] = key.split(':').map(Number)
      if (heldChoice !== choice || call === undefined) continue
      this.#heldCalls.delete(key)
      if (text !== '') released.push({ kind: 'arguments', choice, call, text })
    }
    return released
  }

  #restorePart(part: Part, choice: number): Part {
    if (part.kind === 'toolCall') {
      const names = this.#changes.argumentNames.get(part.name)
      const args = names ? withArgumentNames(part.arguments, names) : part.arguments
      return { ...part, name: this.#callerName(part.name), arguments: args }
    }
    if (part.kind !== 'text' || !this.#changes.isWrapped) return part
    return { ...part, text: this.#unwrap(part.text, choice) }
  }

  #callerName(name: string): string {
    return this.#changes.toolNames.get(name) ?? name
  }

  #unwrap(text: string, choice: number): string {
    const unwrapper = this.#unwrappers.get(choice) ?? new Unwrapper()
    this.#unwrappers.set(choice, unwrapper)
    return unwrapper.push(text)
  }
}

type EventOf<Kind extends ChatEvent['kind']> = Extract<ChatEvent, { readonly kind: Kind }>

function keyOf({ choice, call }: { readonly choice: number; readonly call: number }): string {
  return `${choice}:${call}`
}

const HEAD = new RegExp(`^\\s*\\{\\s*"${WRAPPED_PROPERTY}"\\s*:\\s*`)
/** A head is shorter, unless the model writes much white space. */
const MAX_HEAD_CHARACTERS = 256
/** Every beginning of a head. */
const HEAD_BEGINNING = new RegExp(
  `^\\s*(?:\\{\\s*(?:"${[...WRAPPED_PROPERTY].reduceRight((rest, letter) => `(?:${letter}${rest})?`, '(?:"\\s*(?::\\s*)?)?')})?)?$`,
)

/** Takes the text of one property out of the text of its object, in pieces of any size. Other text passes unchanged. */
class Unwrapper {
  #state: 'head' | 'inside' | 'behind' | 'unwrapped' = 'head'
  #head = ''
  #depth = 0
  #isString = false
  #isEscaped = false

  push(text: string): string {
    if (this.#state === 'unwrapped') return text
    if (this.#state === 'behind') return ''
    if (this.#state === 'inside') return this.#readValue(text)
    this.#head += text
    const [found] = HEAD.exec(this.#head) ?? []
    if (found !== undefined) {
      this.#state = 'inside'
      return this.#readValue(this.#head.slice(found.length))
    }
    if (HEAD_BEGINNING.test(this.#head) && this.#head.length <= MAX_HEAD_CHARACTERS) return ''
    this.#state = 'unwrapped'
    return this.#head
  }

  #readValue(text: string): string {
    for (let index = 0; index < text.length; index++) {
      const character = text[index]
      if (this.#isEscaped) this.#isEscaped = false
      else if (this.#isString) {
        if (character === '\\') this.#isEscaped = true
        else if (character === '"') this.#isString = false
      } else if (character === '"') this.#isString = true
      else if (character === '{' || character === '[') this.#depth++
      else if (character === '}' || character === ']') {
        if (this.#depth-- > 0) continue
        this.#state = 'behind'
        return text.slice(0, index)
      }
    }
    return text
  }
}
