// Pattern: an agentic course of model calls, and how its requests are read. It knows no provider, no store and no clock:
// all it has is its run.

import { z } from 'zod'
import type { JsonObject } from '../../core/chat.ts'
import { parseUsd } from '../../core/money.ts'
import { Problem } from '../../core/problem.ts'
import { type Outcome, type Run, Stopped } from './run.ts'
import { isRecord, issueOf } from './text.ts'
import { Trail } from './trail.ts'

export * from './run.ts'
export { cut, fenced, isShallow, issueOf, readAs, schemaOf, textOf, told } from './text.ts'
export type { Trail, Worked } from './trail.ts'

/** A request, read and found good. */
export interface Task {
  readonly model?: string
  /** The most the run may cost: the starter's `ask` sees to it. */
  readonly mostCostNanoUsd?: bigint
  readonly mostSteps: number
  /** Throws Stopped where the run ends before there is anything to give back. */
  follow(run: Run): Promise<Outcome>
}

export interface Pattern {
  /** As in its path. */
  readonly name: string
  readonly about: string
  /** JSON Schema of its request. */
  readonly schema: JsonObject
  /** Throws Problem `invalid_request`, naming the field. @param body the request's parsed JSON */
  read(body: unknown): Task
}

const MOST_STEPS = 50

const usd = z
  .union([z.number().nonnegative(), z.string()], 'must be dollars, as a number or a decimal')
  .transform((value, { addIssue }) => {
    const nanoUsd = parseUsd(typeof value === 'number' ? value.toFixed(9) : value)
    if (nanoUsd === undefined) addIssue('must be dollars with at most nine decimals')
    return nanoUsd ?? 0n
  })

/** What every pattern takes. */
const COMMON = {
  model: z.string().min(1).max(256).exactOptional(),
  max_cost_usd: usd.exactOptional(),
  max_steps: z.number().int().min(1).max(MOST_STEPS).exactOptional(),
}
const commonShape = z.object(COMMON)

export interface Course<Shape extends z.ZodRawShape> {
  readonly name: string
  readonly about: string
  /** Fields of its request, beside those that every pattern takes. */
  readonly fields: Shape
  /** What the fields have to be together. Returns the field at fault and what is wrong with it. */
  check?(input: z.output<z.ZodObject<Shape>>): readonly [field: string, problem: string] | undefined
  /** How many steps a run may take that does not say. */
  readonly usualSteps: number
  follow(input: z.output<z.ZodObject<Shape>>, trail: Trail): Promise<JsonObject>
}

export function patternOf<Shape extends z.ZodRawShape>(course: Course<Shape>): Pattern {
  const own = z.object(course.fields)
  const whole = z.strictObject({ ...COMMON, ...course.fields })
  const { $schema: _, ...schema } = z.toJSONSchema(whole, { io: 'input' })
  return {
    name: course.name,
    about: course.about,
    schema,
    read: (body) => {
      readField(whole, body)
      const common = readField(commonShape, body)
      const input = readField(own, body)
      const wrong = course.check?.(input)
      if (wrong !== undefined) throw new Problem('invalid_request', `${wrong[0]}: ${wrong[1]}`, wrong[0])
      return {
        ...(common.model === undefined ? {} : { model: common.model }),
        ...(common.max_cost_usd === undefined ? {} : { mostCostNanoUsd: common.max_cost_usd }),
        mostSteps: common.max_steps ?? course.usualSteps,
        follow: (run) => outcomeOf(run, (trail) => course.follow(input, trail)),
      }
    },
  }
}

/** No request has as many, and no record in one: they are counted before anything looks at each. */
const MOST_FIELDS = 100

function readField<Shape extends z.ZodType>(shape: Shape, body: unknown): z.output<Shape> {
  if (isLarge(body)) throw new Problem('invalid_request', `has more than ${MOST_FIELDS} fields`)
  const large = isRecord(body) ? Object.keys(body).find((field) => isLarge(body[field])) : undefined
  if (large !== undefined) throw new Problem('invalid_request', `${large}: has more than ${MOST_FIELDS} fields`, large)
  const read = shape.safeParse(body)
  if (read.success) return read.data
  const { field, text } = issueOf(read.error)
  throw new Problem('invalid_request', text, field)
}

function isLarge(value: unknown): boolean {
  return isRecord(value) && Object.keys(value).length > MOST_FIELDS
}

async function outcomeOf(run: Run, follow: (trail: Trail) => Promise<JsonObject>): Promise<Outcome> {
  const trail = new Trail(run)
  try {
    return trail.outcome(await follow(trail))
  } catch (error) {
    if (!(error instanceof Stopped) || trail.found === undefined) throw error
    return { ...trail.outcome(trail.found), stopped: error.reason, stoppedBecause: error.message }
  }
}
