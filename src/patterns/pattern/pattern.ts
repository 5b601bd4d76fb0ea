// Pattern: a fixed sequence of model calls, such as reflection or RAG, and how its requests are checked. A pattern knows no
// provider, no store and no clock: it does everything through its run.

import { z } from 'zod'
import type { JsonObject } from '../../core/chat.ts'
import { describeIssue } from '../../core/issue-text.ts'
import { parseUsd } from '../../core/money.ts'
import { Problem } from '../../core/problem.ts'
import { type Outcome, type Run, RunStopped } from './run.ts'
import { isRecord, issueOf } from './text.ts'
import { Trail } from './trail.ts'

export * from './run.ts'
export { fence, isShallow, issueOf, readAs, schemaOf, textMessage, textOf, truncate } from './text.ts'
export type { StepResult, Trail } from './trail.ts'

/** A checked request, ready to execute. */
export interface PatternRequest {
  readonly model?: string
  /** The maximum cost of the run in nano-dollars. `Run.callModel` has to enforce it. */
  readonly maxCostNanoUsd?: bigint
  readonly maxSteps: number
  /** Executes the run. Rejects with RunStopped if the run ends before it has a partial result. */
  execute(run: Run): Promise<Outcome>
}

/**
 * A pattern as its endpoint uses it. Make one with `definePattern`.
 *
 * @example
 * const { maxSteps, execute } = pattern.read({ question: 'Who wrote it?', documents, max_steps: 4 })
 * const { result, steps, costNanoUsd } = await execute(createRun(maxSteps))
 */
export interface Pattern {
  /** The last segment of its path: `tool-use`. */
  readonly name: string
  readonly description: string
  /** JSON Schema of its requests. */
  readonly schema: JsonObject
  /** Checks a request. Throws Problem `invalid_request`, naming the field. @param body the parsed JSON */
  read(body: unknown): PatternRequest
}

const MAX_STEPS = 50

const usd = z
  .union([z.number().nonnegative(), z.string()], 'must be an amount in dollars, as a number or as a decimal string')
  .transform((value, { addIssue }) => {
    const nanoUsd = parseUsd(typeof value === 'number' ? value.toFixed(9) : value)
    if (nanoUsd === undefined) addIssue('must be an amount in dollars with at most nine decimals')
    return nanoUsd ?? 0n
  })

/** The fields of every pattern's requests. */
const COMMON_FIELDS = {
  model: z.string().min(1).max(256).exactOptional(),
  max_cost_usd: usd.exactOptional(),
  max_steps: z.number().int().min(1).max(MAX_STEPS).exactOptional(),
}
const commonShape = z.object(COMMON_FIELDS)

/** What makes a pattern: its fields and its sequence of steps. `Shape` is the zod shape of its fields. */
export interface PatternDefinition<Shape extends z.ZodRawShape> {
  readonly name: string
  readonly description: string
  /** The fields of its requests, in addition to those of every pattern. */
  readonly fields: Shape
  /** Checks the fields against each other. Returns the wrong field and a message that continues its name: `must be …`. */
  check?(input: z.output<z.ZodObject<Shape>>): readonly [field: string, problem: string] | undefined
  /** The maximum number of steps for a request without `max_steps`. */
  readonly defaultMaxSteps: number
  /** The steps, all through `trail`. Resolves to the result. Set `trail.partialResult` whenever there is a better one. */
  execute(input: z.output<z.ZodObject<Shape>>, trail: Trail): Promise<JsonObject>
}

/**
 * Makes a pattern: adds the common fields, the JSON Schema, the checks and the handling of early ends.
 *
 * @example
 * export const SUMMARY = definePattern({
 *   name: 'summary',
 *   description: 'Summarises a text.',
 *   fields: { text: z.string().min(1) },
 *   defaultMaxSteps: 1,
 *   execute: async ({ text }, trail) => {
 *     const { text: summary } = await trail.callModel('summarise', { messages: [textMessage('user', text)] })
 *     return { summary }
 *   },
 * })
 */
export function definePattern<Shape extends z.ZodRawShape>(definition: PatternDefinition<Shape>): Pattern {
  const ownShape = z.object(definition.fields)
  const wholeShape = z.strictObject({ ...COMMON_FIELDS, ...definition.fields })
  const { $schema: _, ...schema } = z.toJSONSchema(wholeShape, { io: 'input' })
  return {
    name: definition.name,
    description: definition.description,
    schema,
    read: (body) => {
      parseBody(wholeShape, body)
      const common = parseBody(commonShape, body)
      const input = parseBody(ownShape, body)
      const wrong = definition.check?.(input)
      if (wrong !== undefined) throw new Problem('invalid_request', `${wrong[0]}: ${wrong[1]}`, wrong[0])
      return {
        ...(common.model === undefined ? {} : { model: common.model }),
        ...(common.max_cost_usd === undefined ? {} : { maxCostNanoUsd: common.max_cost_usd }),
        maxSteps: common.max_steps ?? definition.defaultMaxSteps,
        execute: (run) => outcomeOf(run, (trail) => definition.execute(input, trail)),
      }
    },
  }
}

/** More than any real request, or record in a request, has. They are counted first, since zod looks at every one. */
const MAX_FIELDS = 100

function parseBody<Shape extends z.ZodType>(shape: Shape, body: unknown): z.output<Shape> {
  if (hasTooManyFields(body))
    throw new Problem('invalid_request', `The request must have at most ${MAX_FIELDS} fields.`)
  const large = isRecord(body) ? Object.keys(body).find((field) => hasTooManyFields(body[field])) : undefined
  if (large !== undefined)
    throw new Problem('invalid_request', `${large}: must have at most ${MAX_FIELDS} fields`, large)
  const read = shape.safeParse(body, { error: describeIssue })
  if (read.success) return read.data
  const { field, text } = issueOf(read.error)
  throw new Problem('invalid_request', text, field)
}

function hasTooManyFields(value: unknown): boolean {
  return isRecord(value) && Object.keys(value).length > MAX_FIELDS
}

async function outcomeOf(run: Run, execute: (trail: Trail) => Promise<JsonObject>): Promise<Outcome> {
  const trail = new Trail(run)
  try {
    return trail.outcome(await execute(trail))
  } catch (error) {
    if (!(error instanceof RunStopped) || trail.partialResult === undefined) throw error
    return { ...trail.outcome(trail.partialResult), stopped: error.reason, stoppedBecause: error.message }
  }
}
