// Patterns: POST /api/patterns/{name} runs one, GET /api/patterns lists them. A run is no call; each of its model requests is.

import { z } from 'zod'
import type { Settings } from '../config/settings.ts'
import type { FairSlots } from '../core/fair-slots.ts'
import { recordOf } from '../core/json-values.ts'
import { Problem } from '../core/problem.ts'
import { declaredOperation } from '../keys/callers.ts'
import type { Pattern, PatternRequest } from '../patterns/pattern/pattern.ts'
import { PatternRun, type RunParts } from '../runs/run.ts'
import { runSchema } from '../runs/run-answer.ts'
import { errorResponse, streamResponse } from '../runs/run-responses.ts'
import { type Endpoint, endpointsFor, type Reply } from './endpoint.ts'

export interface PatternParts extends Omit<RunParts, 'timeoutMs'> {
  readonly settings: Settings
  /** The models that a run uses if its request names none. */
  readonly patternModels: () => { readonly model: string; readonly embeddingModel: string | undefined }
  /** One for each run under way: runs may wait for long, so each key gets its share of them. */
  readonly runSlots: FairSlots
}

/** Runs at the same time. */
export const MAX_RUNS = 1_000

const endpoint = endpointsFor<PatternParts>()

/** Loaded at the first request: with all they import, the patterns take as much memory as a tenth of the rest. */
async function loadPatterns(): Promise<readonly Pattern[]> {
  const { PATTERNS } = await import('../patterns/index.ts')
  return PATTERNS
}

const STREAM_FIELD = z
  .boolean()
  .default(false)
  .describe('Whether each step is sent as a server-sent event once it is done.')
const STREAM_FIELD_SCHEMA = { type: 'boolean', description: STREAM_FIELD.description ?? '' }

const LIST = endpoint({
  method: 'GET',
  path: '/api/patterns',
  role: 'open',
  summary: 'The patterns, with the JSON Schema of their requests.',
  answer: z.strictObject({
    patterns: z.array(
      z.strictObject({ name: z.string(), about: z.string(), schema: z.record(z.string(), z.unknown()) }),
    ),
  }),
}).handle(async () => {
  const patterns = (await loadPatterns()).map(({ name, description, schema }) => ({
    name,
    about: description,
    schema: { ...schema, properties: { ...recordOf(schema.properties), stream: STREAM_FIELD_SCHEMA } },
  }))
  return { answer: { patterns } }
})

const RUN = endpoint({
  method: 'POST',
  path: '/api/patterns/:name',
  role: 'caller',
  summary: 'Runs a pattern. With `stream`, the answer is a stream of server-sent events.',
  params: z.strictObject({ name: z.string() }),
  // The pattern itself checks its own fields.
  body: z.looseObject({ stream: STREAM_FIELD }),
  answer: runSchema,
}).handle(async (parts, { sender, params, body, exchange, signal }) => {
  const pattern = (await loadPatterns()).find(({ name }) => name === params.name)
  if (!pattern) throw new Problem('not_found', 'There is no such pattern. GET /api/patterns lists them.', 'name')
  if (parts.gate.isClosing) throw new Problem('shutting_down', 'The gateway is stopping.')
  const { stream, ...fields } = await body()
  const task = readTask(pattern, fields, parts.settings)
  const reply = Promise.withResolvers<Reply<z.output<typeof runSchema>>>()
  const start = async () => {
    const run = new PatternRun(
      { ...parts, timeoutMs: parts.settings.UPSTREAM_TIMEOUT_MS },
      {
        pattern,
        task,
        id: sender.task ?? parts.newCallId(),
        operation: declaredOperation(exchange) ?? pattern.name,
        headers: exchange.headers,
        query: exchange.query,
        models: parts.patternModels(),
        signal,
      },
    )
    reply.resolve(stream ? { response: await streamResponse(run) } : wholeReply(run))
    await run.finished
    return true
  }
  const hasRun = parts.runSlots.withSlot(sender.key, start).then((ran) => {
    if (!ran)
      throw new Problem('overloaded', 'As many runs are under way as the gateway allows. Please try again in a moment.')
  })
  hasRun.catch(reply.reject)
  return { ...(await reply.promise), holdsBodyUntil: hasRun }
})

export const PATTERN_ENDPOINTS: readonly Endpoint<PatternParts>[] = [LIST, RUN]

/** Throws Problem, naming the field at fault. */
function readTask(pattern: Pattern, fields: object, settings: Settings): PatternRequest {
  const task = pattern.read(fields)
  if (task.maxCostNanoUsd !== undefined && !settings.ENABLE_COST_TRACKING) {
    const text = 'max_cost_usd: cannot be kept while ENABLE_COST_TRACKING is false'
    throw new Problem('invalid_request', text, 'max_cost_usd')
  }
  return task
}

async function wholeReply(run: PatternRun): Promise<Reply<z.output<typeof runSchema>>> {
  try {
    const answer = await run.follow(() => {})
    const simulated = run.usage.simulated ? { 'x-bursar-simulated': 'true' } : {}
    return { answer, headers: { 'x-bursar-task': run.id, ...simulated } }
  } catch (error) {
    return { response: errorResponse(run, error) }
  }
}
