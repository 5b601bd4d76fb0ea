// Pattern: an agentic course of model calls, and how its requests are read. It knows no provider, no store and no clock:
// all it has is its run.

import { z } from 'zod'
import type { JsonObject } from '../../core/chat.ts'
import { parseUsd } from '../../core/money.ts'
import { Problem } from '../../core/problem.ts'
import { type Outcome, type Run, RunStopped } from './run.ts'
import { isRecord, issueOf } from './text.ts'
import { Trail } from './trail.ts'

export * from './run.ts'
export { fence, isShallow, issueOf, readAs, schemaOf, textMessage, textOf, truncate } from './text.ts'
export type { StepResult, Trail } from './trail.ts'

/** A request, read and found good. */
export interface PatternRequest {
  readonly model?: string
  /** The most the run may cost: the starter's `ask` sees to it. */
  readonly maxCostNanoUsd?: bigint
  readonly maxSteps: number
  /** Throws Stopped where the run ends before there is anything to give back. */
  execute(run: Run): Promise<Outcome>
}

export interface Pattern {
  /** As in its path. */
  readonly name: string
  readonly description: string
  /** JSON Schema of its request. */
  readonly schema: JsonObject
  /** Throws Problem `invalid_request`, naming the field. @param body the request's parsed JSON */
  read(body: unknown): PatternRequest
}

const MAX_STEPS = 50

const usd = z
  .union([z.number().nonnegative(), z.string()], 'must be dollars, as a number or a decimal')
  .transform((value, { addIssue }) => {
    const nanoUsd = parseUsd(typeof value === 'number' ? value.toFixed(9) : value)
    if (nanoUsd === undefined) addIssue('must be dollars with at most nine decimals')
    return nanoUsd ?? 0n
  })

/** What every pattern takes. */
const COMMON_FIELDS = {
  model: z.string().min(1).max(256).exactOptional(),
  max_cost_usd: usd.exactOptional(),
  max_steps: z.number().int().min(1).max(MAX_STEPS).exactOptional(),
}
const commonShape = z.object(COMMON_FIELDS)

export interface PatternDefinition<Shape extends z.ZodRawShape> {
  readonly name: string
  readonly description: string
  /** Fields of its request, beside those that every pattern takes. */
  readonly fields: Shape
  /** What the fields have to be together. Returns the field at fault and what is wrong with it. */
  check?(input: z.output<z.ZodObject<Shape>>): readonly [field: string, problem: string] | undefined
  /** How many steps a run may take that does not say. */
  readonly defaultMaxSteps: number
  execute(input: z.output<z.ZodObject<Shape>>, trail: Trail): Promise<JsonObject>
}

export function definePattern<Shape extends z.ZodRawShape>(course: PatternDefinition<Shape>): Pattern {
  const own = z.object(course.fields)
  const whole = z.strictObject({ ...COMMON_FIELDS, ...course.fields })
  const { $schema: _, ...schema } = z.toJSONSchema(whole, { io: 'input' })
  return {
    name: course.name,
    description: course.description,
    schema,
    read: (body) => {
      parseBody(whole, body)
      const common = parseBody(commonShape, body)
      const input = parseBody(own, body)
      const wrong = course.check?.(input)
      if (wrong !== undefined) throw new Problem('invalid_request', `${wrong[0]}: ${wrong[1]}`, wrong[0])
      return {
        ...(common.model === undefined ? {} : { model: common.model }),
        ...(common.max_cost_usd === undefined ? {} : { maxCostNanoUsd: common.max_cost_usd }),
        maxSteps: common.max_steps ?? course.defaultMaxSteps,
        execute: (run) => outcomeOf(run, (trail) => course.execute(input, trail)),
      }
    },
  }
}

/** No request has as many, and no record in one: they are counted before anything looks at each. */
const MAX_FIELDS = 100

function parseBody<Shape extends z.ZodType>(shape: Shape, body: unknown): z.output<Shape> {
  if (hasTooManyFields(body)) throw new Problem('invalid_request', `has more than ${MAX_FIELDS} fields`)
  const large = isRecord(body) ? Object.keys(body).find((field) => hasTooManyFields(body[field])) : undefined
  if (large !== undefined) throw new Problem('invalid_request', `${large}: has more than ${MAX_FIELDS} fields`, large)
  const read = shape.safeParse(body)
  if (read.success) return read.data
  const { field, text } = issueOf(read.error)
  throw new Problem('invalid_request', text, field)
}

function hasTooManyFields(value: unknown): boolean {
  return isRecord(value) && Object.keys(value).length > MAX_FIELDS
}

async function outcomeOf(run: Run, follow: (trail: Trail) => Promise<JsonObject>): Promise<Outcome> {
  const trail = new Trail(run)
  try {
    return trail.outcome(await follow(trail))
  } catch (error) {
    if (!(error instanceof RunStopped) || trail.partialResult === undefined) throw error
    return { ...trail.outcome(trail.partialResult), stopped: error.reason, stoppedBecause: error.message }
  }
}
