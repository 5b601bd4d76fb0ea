// OpenAI embeddings: POST /v1/embeddings, and every API that copies it.

import { recordOf } from '../../core/json-values.ts'
import { countOf, usageOf } from '../../core/usage.ts'
import type { AnswerUsage, Dialect, ParsedRequest } from '../dialect.ts'
import { postEndpoint } from '../endpoint.ts'
import { forwardedQuery } from '../headers.ts'
import { applySplices, type Splice } from '../json/edit.ts'
import { invalidField } from '../json/errors.ts'
import { type FieldHandlers, handlersFor, lengthOf, ObjectReader } from '../json/object-reader.ts'
import { addModelSplice, type BodyLayout, newBodyLayout, readBody, requireModel } from '../request-body.ts'
import {
  markUnboundedUnlessEmpty,
  newDraft,
  PROMPT_FEATURES,
  type RequestDraft,
  readModel,
  readUser,
} from '../request-reader.ts'
import { coversAll, readStatedCost } from '../stated-cost.ts'
import { DocumentTap, ErrorDocument } from '../taps/document.ts'
import { openaiChat } from './chat.ts'
import { ERROR_FIELDS, type ErrorFacts } from './chat-errors.ts'
import { readPrompts } from './prompts.ts'
import { readProviderChoice } from './provider-choice.ts'

/** Its refusals have the form of chat completions. */
export const openaiEmbeddings: Dialect<'openai.embeddings'> = {
  ...openaiChat,
  name: 'openai.embeddings',
  endpoint: postEndpoint('/v1/embeddings'),
  readRequest: readEmbeddingsRequest,
  upstreamPath: (_model, line) => `/embeddings${forwardedQuery(line.query)}`,
  createTap: () => new DocumentTap(readVectorUsage),
}

interface EmbeddingsLayout extends BodyLayout {
  hasInput: boolean
}

const BODY = new ObjectReader<RequestDraft, EmbeddingsLayout>({
  model: readModel,
  input(json, draft, layout, name) {
    layout.hasInput = true
    readPrompts(json, name, draft)
  },
  user: readUser,
  provider: readProviderChoice,
  // vLLM embeds messages, rendered by a template, in place of the input.
  ...handlersFor(['messages', ...PROMPT_FEATURES, 'extra_body'], markUnboundedUnlessEmpty),
})

function readEmbeddingsRequest(body: Buffer): ParsedRequest {
  const draft = newDraft(body.length)
  draft.kind = 'embed'
  const layout = { ...newBodyLayout(), hasInput: false }
  readBody(body, BODY, draft, layout)
  requireModel(draft)
  if (!layout.hasInput) throw invalidField('input', 'is required')
  return {
    facts: draft,
    requestsUsage: true,
    edit: (edits) => {
      const splices: Splice[] = []
      addModelSplice(splices, layout.model, edits)
      return applySplices(body, splices)
    },
  }
}

interface AnswerFacts extends ErrorFacts {
  hasVectors: boolean
  counts: Readonly<Record<string, unknown>>
  model: string | null
}

const ANSWER = new ObjectReader<AnswerFacts>({
  ...(ERROR_FIELDS as FieldHandlers<AnswerFacts>),
  data(json, answer) {
    answer.hasVectors = lengthOf(json.range()) > '[]'.length
  },
  usage(json, answer) {
    answer.counts = recordOf(json.value())
  },
  model(json, answer) {
    answer.model = json.stringOrNull()
  },
})

/** Undefined if the answer counts nothing: no input is that short. Some servers report the total alone. */
function readVectorUsage(document: Buffer): AnswerUsage | undefined {
  const answer: AnswerFacts = { counts: {}, model: null, hasVectors: false, hasError: false, hasDetail: false }
  ANSWER.readDocument(document, answer)
  const usage = answerUsageOf(answer)
  if (!answer.hasVectors && (answer.hasError || answer.hasDetail)) throw new ErrorDocument(usage)
  return usage
}

function answerUsageOf({ counts, model }: AnswerFacts): AnswerUsage | undefined {
  const input = Math.max(countOf(counts.prompt_tokens), countOf(counts.total_tokens))
  const statedCost = readStatedCost(counts)
  const isCostAlone = input === 0
  if (isCostAlone && !coversAll(statedCost)) return undefined
  const usage = usageOf({ input, requests: 1 })
  return {
    usage,
    reasoningTokens: 0,
    model,
    serviceTier: null,
    ...(statedCost ? { statedCost } : {}),
    ...(isCostAlone ? { isOutputMissing: true } : {}),
  }
}
