// Candidates: the targets that may answer a call, each with the request as it is sent to that target. It sends nothing.

import type { Caller } from '../core/ledger-entry.ts'
import { modelNameOf } from '../core/model-name.ts'
import { Problem } from '../core/problem.ts'
import type { RequestFacts } from '../core/quote.ts'
import type { Exchange } from '../exchange/exchange.ts'
import type { Callers } from '../keys/callers.ts'
import type { KeyRecord } from '../keys/key-record.ts'
import type { CallerKey, Provider, UpstreamRequest } from '../providers/provider.ts'
import type { AnswerChanges } from '../translate/answer-restoration.ts'
import type { Translation } from '../translate/translation.ts'
import type { Dialect, Edits, HeaderList, ParsedRequest, RequestLine } from '../wire/dialect.ts'
import { maxNormalisedBytes } from '../wire/text-bound.ts'
import type { Candidate } from './applicant.ts'
import type { RouteTarget } from './routing.ts'
import { SELF_SEARCH, searchesByItself } from './self-searching.ts'

/** A target for a call that has come in. */
export interface CallCandidate extends Candidate {
  /** The dialect of the request that is sent to the target. */
  readonly dialect: Dialect
  readonly translation: Translation | undefined
  readonly reading: ParsedRequest
  readonly line: RequestLine
  readonly headers: HeaderList
  readonly callerKey: CallerKey | undefined
  /** What is not sent to the target, by the caller's names: hints that its dialect cannot express, and tools. */
  readonly dropped: readonly string[]
  /** What was put into the form that the target accepts, by the caller's names. */
  readonly adapted: readonly string[]
  /** What the translation has to undo in the answer. */
  readonly changes: AnswerChanges | undefined
}

/** A call as it came in. */
export interface IncomingCall {
  readonly exchange: Exchange
  /** The dialect of the caller. */
  readonly dialect: Dialect
  readonly body: Buffer
  readonly reading: ParsedRequest
  /** The output cap, in tokens, for a call without one whose target needs one. */
  readonly defaultCap: number
  readonly caller: Caller
  /** The key of the caller as it was when the call came in; undefined if callers need none. */
  readonly key: KeyRecord | undefined
  /** What the gateway left out of the body, by the caller's names. */
  readonly dropped: readonly string[]
}

/** Model names go into meters, logs and the ledger. No provider has a name as long as this. */
const MAX_MODEL_CHARACTERS = 512

/** The model that a call requests. Throws Problem for a name that is too long. */
export function modelOf({ reading }: IncomingCall): string {
  const { model } = reading.facts
  if (model.length > MAX_MODEL_CHARACTERS)
    throw new Problem('invalid_request', 'The name of the model is too long.', 'model')
  return model
}

/** Finds the caller's own provider key in a request. Throws Problem if there is none. */
type KeyFinder = Pick<Callers, 'providerKey'>

/** A translated request carries none of the caller's headers. */
const TRANSLATED_REQUEST_HEADERS: HeaderList = ['content-type', 'application/json', 'anthropic-version', '2023-06-01']

const NO_NAMES: readonly string[] = []

/**
 * The targets to which the call can be sent. Throws the first target's Problem if there is none.
 * @param keys finds the caller's own provider keys; undefined if none is needed yet
 */
export function candidatesOf(
  targets: readonly RouteTarget[],
  call: IncomingCall,
  keys: KeyFinder | undefined,
): [CallCandidate, ...CallCandidate[]] {
  let problem: Problem | undefined
  const candidates: CallCandidate[] = []
  for (const target of targets) {
    try {
      candidates.push(candidateOf(target, call, keys))
    } catch (error) {
      if (!(error instanceof Problem)) throw error
      problem ??= error
    }
  }
  // A caller's own key is for one provider: no other provider may get it.
  const keyedProvider = candidates.find(({ callerKey }) => callerKey)?.provider
  const [first, ...others] = candidates.filter(({ callerKey, provider }) => !callerKey || provider === keyedProvider)
  if (!first) throw problem ?? new Problem('not_found', 'No configured provider answers this model.', 'model')
  return [first, ...others]
}

function candidateOf(
  { provider, model: writtenModel, dialect, translation }: RouteTarget,
  call: IncomingCall,
  keys: KeyFinder | undefined,
): CallCandidate {
  const { exchange, caller } = call
  const callerKey = provider.callerKeys ? keys?.providerKey(exchange, provider.name) : undefined
  const translated = translation?.translateRequest(call.body, exchange, {
    model: writtenModel,
    capField: provider.capField,
    defaultCap: call.defaultCap,
  })
  const { body, line, adapted, changes } = translated ?? {
    body: call.body,
    line: exchange,
    adapted: NO_NAMES,
    changes: undefined,
  }
  const reading = translated ? dialect.readRequest(body, line) : call.reading
  const headers = translated ? TRANSLATED_REQUEST_HEADERS : exchange.headers
  const countableInput = {
    provider,
    dialect: dialect.name,
    model: writtenModel,
    body,
    headers,
    callerKey,
    caller: caller.key,
    isTranslated: translated !== undefined,
    hasMedia: reading.facts.images > 0 || reading.facts.unsizedInput,
  }
  // The gateway may lower, and announces, a cap that it set itself for the translation.
  const defaultCap = call.reading.facts.outputCap === null ? reading.facts.outputCap : null
  const capped = defaultCap === null ? reading.facts : { ...reading.facts, outputCap: null }
  const grown = provider.rules.normalisesText ? withNormalisedText(capped, body) : capped
  const name = modelNameOf(provider.name, writtenModel)
  const request = searchesByItself(name.model) ? { ...grown, unbounded: [...grown.unbounded, SELF_SEARCH] } : grown
  return {
    ...name,
    provider,
    writtenModel,
    dialect,
    translation,
    callerKey,
    reading,
    line,
    headers,
    dropped: translated ? [...call.dropped, ...translated.dropped] : call.dropped,
    adapted,
    changes,
    countableInput,
    defaultCap,
    request,
  }
}

/** Tokenizers of open models normalise text, which can lengthen it: as much as the compatibility forms do at most. */
function withNormalisedText(facts: RequestFacts, body: Buffer): RequestFacts {
  const grownBytes = maxNormalisedBytes(body) - body.length
  return grownBytes === 0 ? facts : { ...facts, textBytes: facts.textBytes + grownBytes }
}

/** What the gateway changes in a request. */
interface RequestChanges {
  /** An output cap in tokens; null to set none. */
  readonly cap: number | null
  /** Requests usage at the end of a stream. */
  readonly requestsUsage: boolean
}

/** The request that is sent to a candidate. @param method of the caller's request */
export function outgoingOf(candidate: CallCandidate, method: string, changes: RequestChanges): UpstreamRequest {
  const { provider, model, writtenModel, dialect, reading, line, headers, callerKey, translation } = candidate
  const { deployments } = provider
  const name = deployments?.get(writtenModel) ?? deployments?.get(model) ?? writtenModel
  return {
    dialect: dialect.name,
    method,
    path: dialect.upstreamPath(name, line),
    headers,
    callerKey,
    body: reading.edit(editsOf(provider, reading, name, changes)),
    model: name,
    stream: reading.facts.stream,
    needsPlainAnswer: changes.requestsUsage || translation !== undefined,
  }
}

function editsOf(
  { capField, readsOnlyCapField = false }: Provider,
  { facts }: ParsedRequest,
  name: string,
  { cap, requestsUsage }: RequestChanges,
): Edits {
  const edits: { -readonly [Part in keyof Edits]: Edits[Part] } = {}
  const tokens = cap ?? (readsOnlyCapField ? facts.outputCap : null)
  if (name !== facts.model) edits.model = name
  if (tokens !== null) edits.cap = { field: capField, tokens, alone: readsOnlyCapField }
  if (requestsUsage) edits.includeUsage = true
  return edits
}
