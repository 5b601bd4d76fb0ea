// Estimate: POST /llm/estimate, what a call would reserve and whether it fits now. Makes no call and reserves nothing.

import { z } from 'zod'
import { type EstimateCheck, type EstimateParts, estimateCall } from '../call/estimate.ts'
import { Problem } from '../core/problem.ts'
import { WebExchange } from '../exchange/web.ts'
import { dialectAt } from '../wire/index.ts'
import { amountJson } from '../wire/limit-headers.ts'
import { quoteJson, quoteSchema } from './call-views.ts'
import { endpointsFor, RAW_BODY } from './endpoint.ts'
import { amountSchema, levelJson, levelSchema } from './views.ts'

const endpoint = endpointsFor<EstimateParts>()

const DEFAULT_PATH = '/v1/chat/completions'
const MAX_SHOWN_CHARACTERS = 256

const checkSchema = z.strictObject({ ...levelSchema.shape, needed: amountSchema, fits: z.boolean() })

export const ESTIMATE = endpoint({
  method: 'POST',
  path: '/llm/estimate',
  role: 'caller',
  summary: 'What the call with this body would reserve, and whether it fits now. Nothing is reserved or sent.',
  query: z.strictObject({ path: z.string().default(DEFAULT_PATH).describe('The path of the call.') }),
  body: RAW_BODY,
  answer: z.strictObject({
    provider: z.string(),
    model: z.string(),
    fits: z.boolean(),
    ...quoteSchema.shape,
    counted_first: z
      .boolean()
      .describe('Whether the provider counts files of the call first: the call then reserves less than this.'),
    unbounded: z.array(z.string()),
    limits: z.array(checkSchema),
  }),
}).handle(async (parts, { query: { path }, body, exchange }) => {
  const dialect = dialectAt(path.replace(/\?.*/s, ''))
  if (!dialect) {
    const text = `path: must be the path of a call, for example ${DEFAULT_PATH}, and not ${path.slice(0, MAX_SHOWN_CHARACTERS)}`
    throw new Problem('invalid_request', text, 'path')
  }
  const call = exchangeAt(path, exchange)
  const { applicant, quote, checks, fits, countedFirst } = await estimateCall(parts, call, dialect, await body())
  return {
    answer: {
      provider: applicant.first.provider.name,
      model: applicant.first.model,
      fits,
      ...quoteJson(quote),
      counted_first: countedFirst,
      unbounded: [...applicant.first.request.unbounded],
      limits: checks.map(checkJson),
    },
  }
})

function checkJson({ level, needed, fits }: EstimateCheck): z.output<typeof checkSchema> {
  return { ...levelJson(level), needed: amountJson(level.meter, needed), fits }
}

/** The request as the call would make it: at its own path, with the same headers and the same key. Throws Problem. */
function exchangeAt(path: string, { headers, query, remoteAddress }: WebExchange): WebExchange {
  const base = 'http://localhost'
  if (!URL.canParse(path, base)) throw new Problem('invalid_request', 'path: must be a path', 'path')
  const url = new URL(path, base)
  const key = new URLSearchParams(query).get('key')
  if (key !== null && !url.searchParams.has('key')) url.searchParams.set('key', key)
  const pairs: [string, string][] = []
  for (let index = 0; index + 1 < headers.length; index += 2)
    pairs.push([headers[index] ?? '', headers[index + 1] ?? ''])
  return new WebExchange(new Request(url, { method: 'POST', headers: pairs }), { remoteAddress })
}
