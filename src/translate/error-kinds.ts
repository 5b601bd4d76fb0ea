// Error kinds: tells apart, by their words, errors that providers report under one status and that agents act on in different ways.

import type { ChatError, ErrorKind } from '../core/chat.ts'
import { contextLengthOf } from './context-length.ts'

const FILTER = /content_filter|content_policy_violation|content filtering policy|content management policy/i

/** The kind, and the figures of a prompt that is too long. @param codes the error's own codes */
export function refineError(
  kind: ErrorKind,
  message: string,
  codes: readonly unknown[],
): Pick<ChatError, 'kind' | 'tokens' | 'maxTokens'> {
  if (kind !== 'invalid' && kind !== 'tooLarge') return { kind }
  const length = contextLengthOf(message, codes)
  if (length) return { kind: 'contextLength', ...length }
  return { kind: FILTER.test(`${codes.join(' ')} ${message}`) ? 'contentFilter' : kind }
}
