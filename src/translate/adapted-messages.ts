// Adapted messages: puts the parts of a conversation into the form that a target accepts: texts that say something, media types by
// their registered names, arguments that are objects.

import type { ChatMessage, MediaPart, Part, TextPart, ToolCallPart, ToolResultPart } from '../core/chat.ts'
import { parseJsonObject } from './arguments.ts'
import { mediaTypeOf, mediaTypeOfUrl, normalBase64, normalMediaType, parseDataUrl } from './media-types.ts'
import { placedLike } from './places.ts'
import type { TargetRules } from './target-rules.ts'
import { type ChatRequestField, invalidPart, unsupportedPart } from './translator.ts'

/** What was changed and what was left out. */
interface Notes {
  readonly adapted: Set<ChatRequestField>
  readonly dropped: Set<ChatRequestField>
}

/** Throws Problem, naming the place, for media that the target does not accept, and for a conversation that says nothing. */
export function adaptMessages(
  messages: readonly ChatMessage[],
  rules: TargetRules,
  model: string,
  notes: Notes,
): ChatMessage[] {
  const adapter = new MessageAdapter(rules, model, notes)
  const adapted = messages.map((message, index) =>
    placedLike(adapter.adaptMessage(message, index === messages.length - 1), message),
  )
  const last = adapted.at(-1)
  const spoken = adapted.filter((message, index) => !isSilent(message, rules) || wasEmpty(messages[index]))
  // A last message that says nothing cannot be left out after an answer: the model would continue the answer.
  const isSilentEnd = last?.role === 'user' && isSilent(last, rules)
  if (isSilentEnd && spoken.findLast(({ role }) => role !== 'system')?.role !== 'user')
    throw invalidPart(last, SPEAK_RULE)
  const kept = isSilentEnd || !last || spoken.at(-1) === last ? spoken : [...spoken, last]
  if (kept.every((message) => isSilent(message, rules))) throw invalidPart(last ?? {}, SPEAK_RULE)
  return rules.needsUserMessage && kept.every(({ role }) => role === 'system') ? asUserMessages(kept) : kept
}

const SPEAK_RULE = 'must say something: the target model refuses empty texts'

/** Whether nothing of the message would be sent. */
function isSilent({ parts }: ChatMessage, { refusedTexts }: TargetRules): boolean {
  return parts.length === 0 && refusedTexts !== 'none'
}

/** Whether the caller's message had no parts to begin with: writers know what to do with it. */
function wasEmpty(message: ChatMessage | undefined): boolean {
  return message?.role === 'assistant' && message.parts.length === 0
}

/** Instructions alone become what the user says. */
function asUserMessages(messages: readonly ChatMessage[]): ChatMessage[] {
  return messages.map(({ parts }): ChatMessage => ({ role: 'user', parts }))
}

class MessageAdapter {
  readonly #rules: TargetRules
  readonly #model: string
  readonly #notes: Notes

  constructor(rules: TargetRules, model: string, notes: Notes) {
    this.#rules = rules
    this.#model = model
    this.#notes = notes
  }

  adaptMessage(message: ChatMessage, isLast: boolean): ChatMessage {
    const parts = this.#withoutBlanks(message.parts.map((part) => this.#adaptPart(part)))
    return { ...message, parts: isLast && message.role === 'assistant' ? this.#withoutTrailingSpace(parts) : parts }
  }

  #adaptPart(part: Part): Part {
    switch (part.kind) {
      case 'media':
        return this.#adaptMedia(part)
      case 'toolCall':
        return this.#rules.parsesArguments ? this.#adaptCall(part) : part
      case 'toolResult':
        return this.#adaptResult(part)
    }
    return part
  }

  #adaptResult(part: ToolResultPart): ToolResultPart {
    const parts = part.parts.map((inner) => (inner.kind === 'media' ? this.#adaptMedia(inner) : inner))
    return placedLike({ ...part, parts: this.#withoutBlanks(parts) }, part)
  }

  /** Arguments that are no JSON object are what a model once wrote. They become the only argument. */
  #adaptCall(part: ToolCallPart): ToolCallPart {
    if (part.arguments.trim() === '') return placedLike({ ...part, arguments: '{}' }, part)
    if (parseJsonObject(part.arguments)) return part
    this.#notes.adapted.add('arguments')
    return placedLike({ ...part, arguments: JSON.stringify({ arguments: part.arguments }) }, part)
  }

  #adaptMedia(part: MediaPart): MediaPart | TextPart {
    const inline = 'url' in part.source ? parseDataUrl(part.source.url) : undefined
    const source = inline?.source ?? part.source
    if ('url' in source) return this.#adaptLinked(part, source.url)
    const base64 = normalBase64(source.base64)
    const mediaType = mediaTypeOf(inline ? inline.mediaType : part.mediaType, base64)
    const isTextual = TEXTUAL_TYPE.test(mediaType)
    if (!this.#accepts(mediaType)) {
      if (!isTextual)
        throw unsupportedPart(
          part,
          `The target model accepts ${this.#rules.media.summary}, not '${mediaType.slice(0, 64)}'.`,
        )
      this.#notes.adapted.add('media')
      const text = Buffer.from(base64, 'base64').toString()
      return placedLike<TextPart>({ kind: 'text', text: part.name ? `${part.name}:\n${text}` : text }, part)
    }
    if (!inline && base64 === source.base64 && mediaType === part.mediaType) return part
    this.#notes.adapted.add('media')
    return placedLike({ ...part, mediaType, source: { base64 } }, part)
  }

  #adaptLinked(part: MediaPart, url: string): MediaPart {
    const isUnnamed = normalMediaType(part.mediaType) === '*/*'
    const mediaType = isUnnamed ? mediaTypeOfUrl(part.mediaType, url) : normalMediaType(part.mediaType)
    const isNamed = !mediaType.endsWith('/*')
    if (isNamed && !this.#accepts(mediaType))
      throw unsupportedPart(
        part,
        `The target model accepts ${this.#rules.media.summary}, not '${mediaType.slice(0, 64)}'.`,
      )
    if (!this.#rules.media.urls.test(url.trim()))
      throw unsupportedPart(part, 'The target model accepts media inline (base64) or by an http or https URL.')
    return mediaType === part.mediaType ? part : placedLike({ ...part, mediaType }, part)
  }

  #accepts(mediaType: string): boolean {
    const { accepted } = this.#rules.media
    const all = [...accepted, ...(this.#rules.media.acceptedBy?.(this.#model) ?? [])]
    return all.some((type) => (type.endsWith('/') ? mediaType.startsWith(type) : mediaType === type))
  }

  /** The cache hint of a text that is left out goes to the part before it. */
  #withoutBlanks<Any extends Part>(parts: readonly Any[]): Any[] {
    const kept: Any[] = []
    for (const part of parts) {
      if (!this.#isBlank(part)) {
        kept.push(part)
        continue
      }
      const last = kept.at(-1)
      if ('cache' in part && last && last.kind !== 'reasoning' && last.kind !== 'dialect')
        kept[kept.length - 1] = placedLike({ ...last, cache: part.cache }, last)
    }
    return kept
  }

  #isBlank(part: Part): boolean {
    if (part.kind !== 'text') return false
    const { refusedTexts } = this.#rules
    return refusedTexts === 'blank' ? part.text.trim() === '' : refusedTexts === 'empty' && part.text === ''
  }

  /** Anthropic refuses an unfinished answer that ends with white space. */
  #withoutTrailingSpace(parts: readonly Part[]): Part[] {
    const last = parts.at(-1)
    if (!this.#rules.refusesTrailingSpace || last?.kind !== 'text') return [...parts]
    return parts.with(-1, placedLike({ ...last, text: last.text.trimEnd() }, last))
  }
}

/** Types of text that a text part can hold. */
const TEXTUAL_TYPE =
  /^(?:text\/.*|application\/(?:json|xml|yaml|x-yaml|javascript|x-javascript|typescript|sql|toml|x-sh|.*\+json))$/
