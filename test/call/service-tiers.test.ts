// Service tiers: what is booked for a tier that was asked for, by what the answer tells of the tier that it ran at.

import { describe, expect, test } from 'vitest'
import { type Answer, book, type Call, chat, chatStream, tokens } from './booking.ts'

const USED = tokens(1_000, 1_000)
/** At these tiers, a thousand tokens of input and a thousand of output. */
const GPT_4O = { standard: 0.0125, priority: 0.02125 }
const GPT_5 = { standard: 0.01125, flex: 0.005625 }
const FLASH = { standard: 0.0028, priority: 0.00504, flex: 0.0014 }

const gpt = (service_tier: string | undefined, answered: object, model = 'gpt-4o'): Call => ({
  model,
  ask: service_tier === undefined ? {} : { service_tier },
  answer: chat(model, USED, answered),
})
const flash = (serviceTier: string | undefined, counts: object = {}, headers: Answer['headers'] = {}): Call => ({
  path: '/v1beta/models/gemini-2.5-flash:generateContent',
  model: '',
  ask: serviceTier === undefined ? {} : { serviceTier },
  answer: {
    headers,
    body: {
      candidates: [{ content: { parts: [{ text: 'ok' }] }, finishReason: 'STOP' }],
      usageMetadata: { promptTokenCount: 1_000, candidatesTokenCount: 1_000, totalTokenCount: 2_000, ...counts },
      modelVersion: 'gemini-2.5-flash',
    },
  },
})
const header = (tier: string) => ({ 'x-gemini-service-tier': tier })

describe('a tier that the answer names counts', () => {
  test.each<[string, Call, number]>([
    ['as it was asked for', gpt('priority', { service_tier: 'priority' }), GPT_4O.priority],
    ['in capitals', gpt('PRIORITY', { service_tier: 'PRIORITY' }), GPT_4O.priority],
    ['in capitals, of one that asked in small letters', gpt('priority', { service_tier: 'PRIORITY' }), GPT_4O.priority],
    ['though another was asked for', gpt('priority', { service_tier: 'default' }), GPT_4O.standard],
    ['as the standard one', gpt('priority', { service_tier: 'STANDARD' }), GPT_4O.standard],
    ['as on demand', gpt('priority', { service_tier: 'on_demand' }), GPT_4O.standard],
    ['as flex', gpt('flex', { service_tier: 'flex' }, 'gpt-5'), GPT_5.flex],
    ['though none was asked for', gpt(undefined, { service_tier: 'priority' }), GPT_4O.priority],
    ['in a header', flash('priority', {}, header('priority')), FLASH.priority],
    [
      'in a header, as protocol buffers write it',
      flash('PRIORITY', {}, header('SERVICE_TIER_PRIORITY')),
      FLASH.priority,
    ],
    [
      'in a header, as the standard one',
      flash('SERVICE_TIER_PRIORITY', {}, header('SERVICE_TIER_STANDARD')),
      FLASH.standard,
    ],
    ['as a type of traffic', flash('priority', { trafficType: 'ON_DEMAND_PRIORITY' }), FLASH.priority],
    ['as the usual type of traffic', flash('priority', { trafficType: 'ON_DEMAND' }), FLASH.standard],
    ['as committed capacity', flash('priority', { trafficType: 'PROVISIONED_THROUGHPUT' }), FLASH.standard],
  ])('%s', async (_how, call, cost) => {
    expect(await book(call)).toMatchObject({ cost, certainty: 'exact', ending: 'completed' })
  })
})

describe('the dearer price counts', () => {
  const claude = (ask: object, usage: object): Call => ({
    path: '/v1/messages',
    model: 'claude-opus-4-6',
    ask,
    answer: {
      body: {
        id: 'm',
        type: 'message',
        model: 'claude-opus-4-6',
        content: [{ type: 'text', text: 'ok' }],
        usage: { input_tokens: 1_000, output_tokens: 1_000, ...usage },
      },
    },
  })
  test.each<[string, Call, number]>([
    ['no tier', gpt('priority', {}), GPT_4O.priority],
    ['no tier, streamed', { ...gpt('priority', {}), answer: chatStream('gpt-4o', USED) }, GPT_4O.priority],
    ['null', gpt('priority', { service_tier: null }), GPT_4O.priority],
    ['that it is automatic', gpt('priority', { service_tier: 'auto' }), GPT_4O.priority],
    ['a tier of batches', gpt('priority', { service_tier: 'batch' }), GPT_4O.priority],
    ['an unknown tier', gpt('priority', { service_tier: 'turbo' }), GPT_4O.priority],
    ['no tier for a cheaper one', gpt('flex', {}, 'gpt-5'), GPT_5.standard],
    ['an unknown tier for a cheaper one', gpt('flex', { service_tier: 'turbo' }, 'gpt-5'), GPT_5.standard],
    ['no tier in capitals', flash('PRIORITY'), FLASH.priority],
    [
      'an unspecified tier',
      flash('SERVICE_TIER_PRIORITY', { serviceTier: 'SERVICE_TIER_UNSPECIFIED' }),
      FLASH.priority,
    ],
    ['an unknown tier in a header', flash('priority', {}, header('turbo')), FLASH.priority],
    [
      'no tier at responses',
      {
        path: '/v1/responses',
        model: 'gpt-4o',
        ask: { service_tier: 'priority' },
        answer: {
          body: {
            id: 'r',
            model: 'gpt-4o',
            status: 'completed',
            output: [],
            usage: { input_tokens: 1_000, output_tokens: 1_000 },
          },
        },
      },
      GPT_4O.priority,
    ],
    ['no speed', claude({ speed: 'fast' }, { service_tier: 'standard' }), 0.18],
    ['no place', claude({ inference_geo: 'us' }, { service_tier: 'standard', speed: 'standard' }), 0.033],
  ])('where the answer tells %s', async (_what, call, cost) => {
    expect(await book(call)).toMatchObject({ cost, certainty: 'upperBound', ending: 'completed' })
  })

  test('and where there is no dearer one, the price is certain', async () => {
    expect(await book(gpt('auto', {}))).toMatchObject({ cost: GPT_4O.standard, certainty: 'exact' })
    expect(await book(gpt('flex', {}))).toMatchObject({ cost: GPT_4O.standard, certainty: 'exact' })
    expect(await book(gpt(undefined, { service_tier: 'turbo' }))).toMatchObject({
      cost: GPT_4O.standard,
      certainty: 'exact',
    })
    expect(await book(claude({}, { service_tier: 'standard' }))).toMatchObject({ cost: 0.03, certainty: 'exact' })
  })
})
