// OpenAI event writer: writes chat events as the chunks of a streamed completion.

import type { ChatEvent, ChatUsage, JsonObject } from '../../core/chat.ts'
import type { EventWriter, ResponseContext } from '../translator.ts'
import { googleExtra } from './calls.ts'
import { writeError } from './errors.ts'
import { createdAt, finishReason, writePicture, writeUsage } from './response.ts'
import { THINKING_DIALECT, writeThinkingBlock } from './thoughts.ts'

/** More choices than any real response has. Further ones are left out. */
const MAX_CHOICES = 128
/** How many characters of thoughts may wait for their signature. */
const MAX_HELD_CHARACTERS = 8_388_608

interface WrittenChoice {
  /** Indexes of the calls whose arguments have not started. */
  readonly callsWithoutArguments: Set<number>
  /** The thoughts since the last signature. */
  reasoningText: string
  pictureCount: number
  hasRefused: boolean
}

export class ChatEventWriter implements EventWriter {
  readonly #context: ResponseContext
  readonly #choices = new Map<number, WrittenChoice>()
  #model: string
  #hasFailed = false
  #hasEnded = false

  constructor(context: ResponseContext) {
    this.#context = context
    this.#model = context.model
  }

  write(event: ChatEvent): string {
    if (this.#hasFailed || this.#hasEnded) return ''
    if (event.kind === 'error') {
      this.#hasFailed = true
      return `data: ${writeError(event.error, this.#context)}\n\n`
    }
    if (event.kind === 'start') {
      this.#model = event.model || this.#model
      return this.#startChoice(0)
    }
    const start = this.#startChoice(event.choice)
    const choice = this.#choices.get(event.choice)
    return choice ? start + this.#writePiece(event, choice) : ''
  }

  end(used: ChatUsage | undefined): string {
    if (this.#hasFailed || this.#hasEnded) return ''
    this.#hasEnded = true
    const usage = this.#context.withUsage && used ? this.#writeEvent([], writeUsage(used)) : ''
    return `${usage}data: [DONE]\n\n`
  }

  /** The first chunk of each choice names the role. */
  #startChoice(choice: number): string {
    if (this.#choices.has(choice) || this.#choices.size >= MAX_CHOICES) return ''
    this.#choices.set(choice, {
      callsWithoutArguments: new Set(),
      reasoningText: '',
      pictureCount: 0,
      hasRefused: false,
    })
    return this.#writeDelta(choice, { role: 'assistant', content: '' })
  }

  #writePiece(event: Exclude<ChatEvent, { kind: 'start' | 'error' }>, choice: WrittenChoice): string {
    switch (event.kind) {
      case 'text':
        return this.#writeDelta(event.choice, { content: event.text })
      case 'reasoning':
        if (choice.reasoningText.length <= MAX_HELD_CHARACTERS) choice.reasoningText += event.text
        return this.#writeDelta(event.choice, { reasoning_content: event.text })
      case 'signature':
      case 'redacted':
        return this.#writeSignedBlock(event, choice)
      case 'toolCall': {
        choice.callsWithoutArguments.add(event.call)
        const extra = event.signature === undefined ? {} : { extra_content: googleExtra(event.signature) }
        const call = { id: event.id, type: 'function', function: { name: event.name, arguments: '' }, ...extra }
        return this.#writeDelta(event.choice, { tool_calls: [{ index: event.call, ...call }] })
      }
      case 'arguments':
        choice.callsWithoutArguments.delete(event.call)
        return this.#writeArguments(event.choice, event.call, event.text)
      case 'media': {
        const picture = writePicture(event.mediaType, event.base64, choice.pictureCount++)
        return this.#writeDelta(event.choice, { images: [picture] })
      }
      case 'refusal':
        choice.hasRefused = true
        return this.#writeDelta(event.choice, { refusal: event.text })
      case 'stop': {
        const empty = [...choice.callsWithoutArguments]
          .map((call) => this.#writeArguments(event.choice, call, '{}'))
          .join('')
        choice.callsWithoutArguments.clear()
        return empty + this.#writeDelta(event.choice, {}, finishReason(event.reason, choice.hasRefused))
      }
    }
  }

  /** A signed block repeats all of its thoughts, so that the caller can send it back as it is. Other signatures are left out. */
  #writeSignedBlock(event: Extract<ChatEvent, { kind: 'signature' | 'redacted' }>, choice: WrittenChoice): string {
    const text = choice.reasoningText
    if (event.kind === 'signature') choice.reasoningText = ''
    if (event.signedIn !== THINKING_DIALECT || text.length > MAX_HELD_CHARACTERS) return ''
    const signed =
      event.kind === 'signature' ? { text, signature: event.signature } : { text: '', redacted: event.data }
    return this.#writeDelta(event.choice, { thinking_blocks: [writeThinkingBlock({ kind: 'reasoning', ...signed })] })
  }

  #writeArguments(choice: number, call: number, text: string): string {
    return this.#writeDelta(choice, { tool_calls: [{ index: call, function: { arguments: text } }] })
  }

  #writeDelta(index: number, delta: JsonObject, finish: string | null = null): string {
    return this.#writeEvent([{ index, delta, logprobs: null, finish_reason: finish }], null)
  }

  #writeEvent(choices: readonly JsonObject[], usage: JsonObject | null): string {
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
