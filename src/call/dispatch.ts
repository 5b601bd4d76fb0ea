// Dispatch: an admitted call as it is sent to one of its candidates, and the headers its answer will carry. It sends nothing.

import type { Settings } from '../config/settings.ts'
import type { CircuitPass } from '../core/circuit.ts'
import type { Instant, LevelView } from '../core/meter.ts'
import type { Provider, UpstreamRequest } from '../providers/provider.ts'
import type { Translation } from '../translate/translation.ts'
import type { ResponseContext } from '../translate/translator.ts'
import type { Dialect, HeaderList, Tap } from '../wire/dialect.ts'
import { addIetfRateHeaders } from '../wire/limit-headers.ts'
import { DocumentAsEventsTap } from '../wire/taps/document-as-events.ts'
import type { AdmittedCall } from './applicant.ts'
import { type CallCandidate, type IncomingCall, outgoingOf } from './candidates.ts'

/** One attempt, ready to be sent. */
export interface Dispatch {
  readonly provider: Provider
  readonly outgoing: UpstreamRequest
  readonly admitted: AdmittedCall
  /** How the circuit of the target let the attempt through. */
  readonly circuitPass: CircuitPass
  /** The dialect of the provider. */
  readonly dialect: Dialect
  /** Set if the caller speaks another dialect than the provider. */
  readonly translation: { readonly with: Translation; readonly context: ResponseContext } | undefined
  /** True if a stream of the provider is one JSON array. */
  readonly streamsAsArray: boolean
  /** True if the request asks for usage at the end of a stream. */
  readonly requestsUsage: boolean
  /** True if the gateway requested a usage chunk that the caller did not request. */
  readonly hidesUsage: boolean
  /** True if a handler of the gateway's own app answers in the provider's place. */
  readonly isHandled: boolean
  /** Headers that every answer to this attempt carries. */
  readonly headers: HeaderList
}

/** Sends in the provider's place: the handler behind the middleware. */
export type SendInstead = Provider['send']

/** What all attempts of a call have in common. */
export interface DispatchContext {
  readonly call: IncomingCall
  readonly callId: string
  /** True if the caller named an alias, and no target: the answer tells which target it comes from. */
  readonly isAlias: boolean
  readonly sendInstead: SendInstead | undefined
  readonly settings: Settings
  readonly now: Instant
}

/** Puts one attempt together: the request with its edits, the provider that sends it, and the headers of the answer. */
export function dispatchOf(
  context: DispatchContext,
  admitted: AdmittedCall,
  candidate: CallCandidate,
  circuitPass: CircuitPass,
): Dispatch {
  const { call, sendInstead, settings } = context
  const { dialect, reading, translation } = candidate
  const provider = providerFor(candidate, circuitPass, sendInstead)
  const cap = settings.ENFORCEMENT === 'soft' ? null : admitted.quote.injectedCap
  const requestsUsage = reading.facts.stream && !reading.requestsUsage && provider.knowsStreamOptions
  return {
    provider,
    outgoing: outgoingOf(candidate, call.exchange.method, { cap, requestsUsage }),
    admitted,
    circuitPass,
    dialect,
    translation: translation && { with: translation, context: responseContext(context, candidate) },
    streamsAsArray: dialect.streamsAsArray?.(candidate.line) === true,
    requestsUsage: reading.requestsUsage,
    hidesUsage: requestsUsage && !translation,
    isHandled: sendInstead !== undefined,
    headers: answerHeaders(context, admitted, candidate, cap),
  }
}

/** The tap that meters an answer of this content type, and translates the answer if need be. */
export function tapFor(
  { admitted, dialect, streamsAsArray, requestsUsage, hidesUsage, translation }: Dispatch,
  contentType: string,
  isEncoded: boolean,
): Tap {
  const { streaming, model } = admitted.facts
  // JSON in place of events is one document.
  const isStream = streaming && (streamsAsArray || !/\bjson\b/i.test(contentType))
  const tap = dialect.createTap(isStream, contentType, hidesUsage && !isEncoded, model)
  if (translation) return translation.with.createTap(tap, translation.context)
  const { documentEvents } = dialect
  const isUnasked = streaming && tap.isDocument && documentEvents !== undefined
  return isUnasked ? new DocumentAsEventsTap(tap, documentEvents, requestsUsage) : tap
}

/** If the circuit opened after the target was chosen, nothing is sent: the attempt fails as if the connection was refused. */
function providerFor(
  { provider }: CallCandidate,
  circuitPass: CircuitPass,
  sendInstead: SendInstead | undefined,
): Provider {
  const send = circuitPass.kind === 'open' ? failWithOpenCircuit : sendInstead
  // What answers in the provider's place is at no address of the provider's.
  return send ? { ...provider, send, sendTranslated: send, addressSetting: '' } : provider
}

const failWithOpenCircuit: SendInstead = (_outgoing, listener) => {
  setImmediate(() => listener.failed(Object.assign(new Error('circuit open'), { code: 'circuit_open' })))
  return { pause() {}, resume() {}, abort() {} }
}

function answerHeaders(
  { call, callId, isAlias, now }: DispatchContext,
  admitted: AdmittedCall,
  candidate: CallCandidate,
  cap: number | null,
): HeaderList {
  const { provider, model, translation, dropped, adapted } = candidate
  const headers = rateHeaders(call.dialect, callId, admitted.levels, 'provider', now)
  if (cap !== null) headers.push('x-bursar-max-output-tokens', String(cap))
  if (admitted.unenforced.length > 0) headers.push('x-bursar-over-limit', admitted.unenforced.join(', '))
  if (provider.simulated) headers.push('x-bursar-simulated', 'true')
  if (isAlias || translation) headers.push('x-bursar-target', toHeaderText(`${provider.name}/${model}`))
  if (dropped.length > 0) headers.push('x-bursar-dropped', toHeaderText(dropped.join(', ')))
  if (adapted.length > 0) headers.push('x-bursar-adapted', toHeaderText(adapted.join(', ')))
  return headers
}

/** Replaces what cannot stand in a header: a caller may choose the names. */
function toHeaderText(text: string): string {
  return text.replace(/[^\x20-\x7e]/g, '?').slice(0, 1_024)
}

function responseContext({ call, callId, now }: DispatchContext, { changes }: CallCandidate): ResponseContext {
  return {
    callId,
    nowMs: now.wallMs,
    model: call.reading.facts.model,
    withUsage: call.reading.requestsUsage,
    asEvents: call.dialect.streamsAsArray?.(call.exchange) !== true,
    stream: call.reading.facts.stream,
    ...(changes && { changes }),
  }
}

/** Headers of every answer to an admitted or refused call: our figures in the words of the dialect, and in the IETF's. */
export function rateHeaders(
  dialect: Dialect,
  callId: string,
  levels: readonly LevelView[],
  source: 'gateway' | 'provider',
  now: Instant,
): HeaderList {
  const headers: HeaderList = ['x-bursar-call-id', callId, 'x-bursar-source', source]
  dialect.addRateHeaders(levels, now.wallMs, headers)
  addIetfRateHeaders(levels, headers)
  return headers
}
