// Response events: a whole response as the events of a stream.

import type { ChatEvent, ChatResponse, Part } from '../core/chat.ts'

/** The events of a response that came whole although a stream was requested. */
export function eventsOf({ id, model, choices }: ChatResponse): ChatEvent[] {
  const events: ChatEvent[] = [{ kind: 'start', id, model }]
  for (const [choice, { parts, stop, stopSequence }] of choices.entries()) {
    let call = 0
    for (const part of parts) {
      events.push(...partEvents(part, choice, call))
      if (part.kind === 'toolCall') call++
    }
    events.push({ kind: 'stop', choice, reason: stop, ...(stopSequence !== undefined && { stopSequence }) })
  }
  return events
}

/** None for a part that no stream holds. @param call the index of the next tool call */
function partEvents(part: Part, choice: number, call: number): ChatEvent[] {
  switch (part.kind) {
    case 'text':
    case 'refusal':
      return part.text === '' ? [] : [{ kind: part.kind, choice, text: part.text }]
    case 'reasoning': {
      const { text, signature, redacted, signedIn = '' } = part
      return [
        ...(text === '' ? [] : [{ kind: 'reasoning', choice, text } as const]),
        ...(signature === undefined ? [] : [{ kind: 'signature', choice, signature, signedIn } as const]),
        ...(redacted === undefined ? [] : [{ kind: 'redacted', choice, data: redacted, signedIn } as const]),
      ]
    }
    case 'toolCall': {
      const { id, name, signature, arguments: text } = part
      return [
        { kind: 'toolCall', choice, call, id, name, ...(signature !== undefined && { signature }) },
        { kind: 'arguments', choice, call, text },
      ]
    }
    case 'media':
      return 'base64' in part.source
        ? [{ kind: 'media', choice, mediaType: part.mediaType, base64: part.source.base64 }]
        : []
    case 'toolResult':
    case 'dialect':
      return []
  }
}
