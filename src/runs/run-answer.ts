// Run answers: the JSON of a pattern's run and of its steps, and the schemas that describe it.

import { z } from 'zod'
import { jsonUsd, type UsdJson } from '../core/money.ts'
import type { Outcome, Step } from '../patterns/pattern/pattern.ts'
import type { RunUsage } from './model-client.ts'

/** Dollars: a JSON number with every digit of the integer, up to nine decimals. */
export const usdSchema = z
  .custom<UsdJson>((value) => typeof value === 'number' && Number.isFinite(value), 'must be a number of dollars')
  .meta({ type: 'number', description: 'Dollars, exact to the nano-dollar.' })

/** A whole number that is not negative. */
export const countSchema = z.number().int().min(0)

const stepSchema = z.strictObject({
  number: z.number().int().min(1),
  name: z.string(),
  kind: z.enum(['ask', 'tool', 'retrieve']),
  model: z.string().optional(),
  asked: z.string(),
  answered: z.string(),
  failed: z.string().optional(),
  tokens: z.strictObject({ input: countSchema, output: countSchema }).optional(),
  cost_usd: usdSchema.optional(),
  duration_ms: countSchema,
  call_id: z.string().optional(),
})

export const runSchema = z.strictObject({
  pattern: z.string(),
  task: z.string(),
  model: z.string(),
  result: z.record(z.string(), z.unknown()),
  stopped: z.enum(['budget', 'rate', 'steps', 'deadline', 'left', 'error']).nullable(),
  stopped_because: z.string().optional(),
  steps: z.array(stepSchema),
  usage: z.strictObject({
    requests: countSchema,
    input_tokens: countSchema,
    output_tokens: countSchema,
    total_tokens: countSchema,
  }),
  cost_usd: usdSchema,
  limits: z.strictObject({
    max_cost_usd: usdSchema.nullable(),
    max_steps: z.number().int().min(1),
    max_seconds: z.number().min(0),
  }),
  simulated: z.boolean(),
})

export type RunJson = z.output<typeof runSchema>

/** The parts of a run's JSON that are not in its outcome. */
export interface RunSummary {
  readonly pattern: string
  readonly task: string
  readonly model: string
  readonly maxCostNanoUsd: bigint | undefined
  readonly maxSteps: number
  readonly timeoutMs: number
  readonly usage: RunUsage
}

export function runJson({ result, stopped, stoppedBecause, steps }: Outcome, run: RunSummary): RunJson {
  const { requests, inputTokens, outputTokens, costNanoUsd, simulated } = run.usage
  return {
    pattern: run.pattern,
    task: run.task,
    model: run.model,
    result,
    stopped: stopped ?? null,
    ...(stoppedBecause === undefined ? {} : { stopped_because: stoppedBecause }),
    steps: steps.map(stepJson),
    usage: {
      requests,
      input_tokens: inputTokens,
      output_tokens: outputTokens,
      total_tokens: inputTokens + outputTokens,
    },
    cost_usd: jsonUsd(costNanoUsd),
    limits: {
      max_cost_usd: run.maxCostNanoUsd === undefined ? null : jsonUsd(run.maxCostNanoUsd),
      max_steps: run.maxSteps,
      max_seconds: run.timeoutMs / 1_000,
    },
    simulated,
  }
}

export function stepJson(step: Step): z.output<typeof stepSchema> {
  const { number, name, kind, model, asked, answered, failed, tokens, costNanoUsd, durationMs, callId } = step
  return {
    number,
    name,
    kind,
    model,
    asked,
    answered,
    failed,
    tokens,
    cost_usd: costNanoUsd === undefined ? undefined : jsonUsd(costNanoUsd),
    duration_ms: durationMs,
    call_id: callId,
  }
}
