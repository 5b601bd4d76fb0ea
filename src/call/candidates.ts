// Candidates: the targets that may answer a call, each with the request as it is put to it.

import type { Caller } from '../core/ledger-entry.ts'
import { Problem } from '../core/problem.ts'
import type { Exchange } from '../exchange/exchange.ts'
import type { Callers } from '../keys/callers.ts'
import type { CallerKey, Provider, UpstreamRequest } from '../providers/provider.ts'
import type { Translation } from '../translate/translation.ts'
import type { Dialect, Edits, HeaderList, ParsedRequest, RequestLine } from '../wire/dialect.ts'
import type { Candidate } from './applicant.ts'
import type { RouteTarget } from './routing.ts'

/** A candidate for a call that has come in. */
export interface CallCandidate extends Candidate {
  /** What the provider is asked in. */
  readonly dialect: Dialect
  readonly translation: Translation | undefined
  readonly reading: ParsedRequest
  readonly line: RequestLine
  readonly headers: HeaderList
  readonly callerKey: CallerKey | undefined
  /** Hints of the caller's that the target has no words for, by the caller's names. */
  readonly dropped: readonly string[]
}

/** A call as it came in. */
export interface IncomingCall {
  readonly exchange: Exchange
  readonly dialect: Dialect
  readonly body: Buffer
  readonly reading: ParsedRequest
  /** The cap of a call that has none, where the target's dialect cannot do without. */
  readonly defaultCap: number
  readonly caller: Caller
}

/** Finds the key for a provider that a request brings along. Throws Problem where there is none. */
export type KeyFinder = Pick<Callers, 'providerKey'>

/** What goes with a request that was translated: nothing of the caller's. */
const TRANSLATED_REQUEST_HEADERS: HeaderList = ['content-type', 'application/json', 'anthropic-version', '2023-06-01']

const NO_DROPPED_HINTS: readonly string[] = []

/** Those that can be asked. Throws the first one's Problem where none can. */
export function candidatesOf(
  targets: readonly RouteTarget[],
  call: IncomingCall,
  keys: KeyFinder | undefined,
): [CallCandidate, ...CallCandidate[]] {
  const [only] = targets
  if (targets.length === 1 && only) return [candidateOf(only, call, keys)]
  let problem: Problem | undefined
  const found: CallCandidate[] = []
  for (const target of targets) {
    try {
      found.push(candidateOf(target, call, keys))
    } catch (error) {
      if (!(error instanceof Problem)) throw error
      problem ??= error
    }
  }
  // A key that a caller brings is one provider's: it goes to no other.
  const keyed = found.find(({ callerKey }) => callerKey)?.provider
  const [first, ...others] = found.filter(({ callerKey, provider }) => !callerKey || provider === keyed)
  if (!first) throw problem ?? new Problem('not_found', 'Nobody answers this model.', 'model')
  return [first, ...others]
}

function candidateOf(
  { provider, model, dialect, translation }: RouteTarget,
  call: IncomingCall,
  keys: KeyFinder | undefined,
): CallCandidate {
  const callerKey = provider.callerKeys ? keys?.providerKey(call.exchange, provider.name) : undefined
  const { exchange, caller } = call
  const ask = translation?.translateRequest(call.body, exchange, {
    model,
    capField: provider.capField,
    defaultCap: call.defaultCap,
  })
  const { body, line, dropped } = ask ?? { body: call.body, line: exchange, dropped: NO_DROPPED_HINTS }
  const reading = ask ? dialect.readRequest(body, line) : call.reading
  const headers = ask ? TRANSLATED_REQUEST_HEADERS : exchange.headers
  const countable = { provider, dialect: dialect.name, model, body, headers, callerKey, caller: caller.key }
  // A cap that the translation set is the gateway's own: it can be made smaller, and is announced.
  const usualCap = call.reading.facts.outputCap === null ? reading.facts.outputCap : null
  const asked = usualCap === null ? reading.facts : { ...reading.facts, outputCap: null }
  return {
    provider,
    model,
    dialect,
    translation,
    callerKey,
    reading,
    line,
    headers,
    dropped,
    countableInput: countable,
    defaultCap: usualCap,
    request: asked,
  }
}

/** What of a request is not sent as it came. */
export interface RequestChanges {
  readonly cap: number | null
  readonly asksUsage: boolean
}

/** A candidate's request as it goes out. @param method of the caller's request */
export function outgoingOf(
  candidate: CallCandidate,
  method: string,
  { cap, asksUsage }: RequestChanges,
): UpstreamRequest {
  const { provider, model, dialect, reading, line, headers, callerKey, translation } = candidate
  const name = provider.deployments?.get(model) ?? model
  return {
    dialect: dialect.name,
    method,
    path: dialect.upstreamPath(name, line),
    headers,
    callerKey,
    body: reading.edit(editsOf(provider, reading, name, { cap, asksUsage })),
    model: name,
    stream: reading.facts.stream,
    needsPlainAnswer: asksUsage || translation !== undefined,
  }
}

function editsOf(
  provider: Provider,
  { facts }: ParsedRequest,
  name: string,
  { cap, asksUsage }: RequestChanges,
): Edits {
  const edits: { -readonly [Part in keyof Edits]: Edits[Part] } = {}
  const { capField, readsOnlyCapField = false } = provider
  const tokens = cap ?? (readsOnlyCapField ? facts.outputCap : null)
  if (name !== facts.model) edits.model = name
  if (tokens !== null) edits.cap = { field: capField, tokens, alone: readsOnlyCapField }
  if (asksUsage) edits.includeUsage = true
  return edits
}
