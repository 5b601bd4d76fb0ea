// Answer restoration: undoes in an answer what the adaptation changed in its request: the names of tools, and the object around an
// answer whose schema is no object's.

import type { ChatEvent, ChatResponse, Part } from '../core/chat.ts'

/** The property that holds an answer whose schema is no object's. */
export const WRAPPED_PROPERTY = 'value'

/** What an answer needs to be put back into the caller's form. */
export interface AnswerChanges {
  /** The caller's names of tools by the names that were sent. */
  readonly toolNames: ReadonlyMap<string, string>
  /** True: the answer is the property `value` of an object. */
  readonly isWrapped: boolean
}

/** Restores one answer, whole or event by event. Never throws. */
export class AnswerRestorer {
  readonly #changes: AnswerChanges
  readonly #unwrappers = new Map<number, Unwrapper>()

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

  restoreEvent(event: ChatEvent): ChatEvent {
    if (event.kind === 'toolCall') return { ...event, name: this.#callerName(event.name) }
    if (event.kind !== 'text' || !this.#changes.isWrapped) return event
    return { ...event, text: this.#unwrap(event.text, event.choice) }
  }

  #restorePart(part: Part, choice: number): Part {
    if (part.kind === 'toolCall') return { ...part, name: this.#callerName(part.name) }
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
