// Dispatch: how an admitted call goes out to one of its candidates, and the headers its answer will carry.

import type { Settings } from '../config/settings.ts'
import type { CircuitPass } from '../core/circuit.ts'
import type { Instant, LevelView } from '../core/meter.ts'
import type { Provider } from '../providers/provider.ts'
import type { ResponseContext } from '../translate/translator.ts'
import type { Dialect, HeaderList } from '../wire/dialect.ts'
import { addIetfRateHeaders } from '../wire/limit-headers.ts'
import type { AdmittedCall } from './admission.ts'
import { type CallCandidate, type IncomingCall, outgoingOf } from './candidates.ts'
import type { Dispatch } from './relay.ts'

/** Sends in a provider's place: the handler behind the middleware. */
export type SendInstead = Provider['send']

/** What all attempts of a call have in common. */
export interface DispatchContext {
  readonly call: IncomingCall
  readonly callId: string
  /** It may be answered by another target than the one it names. */
  readonly isRouted: boolean
  readonly sendInstead: SendInstead | undefined
  readonly settings: Settings
  readonly now: Instant
}

export function dispatchOf(
  out: DispatchContext,
  admitted: AdmittedCall,
  candidate: CallCandidate,
  passage: CircuitPass,
): Dispatch {
  const { call, sendInstead, settings } = out
  const { dialect, reading, translation } = candidate
  const provider = providerFor(candidate, passage, sendInstead)
  const cap = settings.ENFORCEMENT === 'soft' ? null : admitted.quote.injectedCap
  const asksUsage = reading.facts.stream && !reading.asksForUsage && provider.knowsStreamOptions
  return {
    provider,
    outgoing: outgoingOf(candidate, call.exchange.method, { cap, asksUsage }),
    admitted,
    circuitPass: passage,
    dialect,
    translation: translation && { with: translation, context: answerContext(out) },
    hidesUsage: asksUsage && !translation,
    headers: headersOf(out, admitted, candidate, cap),
  }
}

/** Whose circuit has opened since it was chosen is not asked: that is told as though it could not be reached. */
function providerFor(
  { provider }: CallCandidate,
  passage: CircuitPass,
  sendInstead: SendInstead | undefined,
): Provider {
  const send = passage.kind === 'open' ? failWithOpenCircuit : sendInstead
  return send ? { ...provider, send, sendTranslated: send } : provider
}

const failWithOpenCircuit: SendInstead = (_outgoing, listener) => {
  setImmediate(() => listener.failed(Object.assign(new Error('circuit open'), { code: 'circuit_open' })))
  return { pause() {}, resume() {}, abort() {} }
}

function headersOf(
  out: DispatchContext,
  admitted: AdmittedCall,
  candidate: CallCandidate,
  cap: number | null,
): HeaderList {
  const { provider, model, translation, dropped } = candidate
  const headers = rateHeaders(out.call.dialect, out.callId, admitted.levels, 'provider', out.now)
  if (cap !== null) headers.push('x-bursar-max-output-tokens', String(cap))
  if (admitted.unenforced.length > 0) headers.push('x-bursar-over-limit', admitted.unenforced.join(', '))
  if (provider.simulated) headers.push('x-bursar-simulated', 'true')
  if (out.isRouted || translation) headers.push('x-bursar-target', toHeaderText(`${provider.name}/${model}`))
  if (dropped.length > 0) headers.push('x-bursar-dropped', toHeaderText(dropped.join(', ')))
  return headers
}

/** What can stand in a header: names may be a caller's own. */
function toHeaderText(text: string): string {
  return text.replace(/[^\x20-\x7e]/g, '?').slice(0, 1_024)
}

function answerContext({ call, callId, now }: DispatchContext): ResponseContext {
  return {
    callId,
    nowMs: now.wallMs,
    model: call.reading.facts.model,
    withUsage: call.reading.asksForUsage,
    asEvents: call.dialect.streamsAsArray?.(call.exchange) !== true,
  }
}

/** Headers that every answer to an admitted or refused call carries: our figures in the dialect's words, and the IETF's. */
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
