// Planning: splits a goal into steps, checks the plan, and does the steps in order. Each step gets the results that it needs.

import { z } from 'zod'
import type { JsonObject } from '../../core/chat.ts'
import { definePattern, fence, RunStopped, type Trail, textMessage, truncate } from '../pattern/pattern.ts'
import { orderOf, type PlanStep, problemsOf } from './check.ts'

const MAX_RESULT_CHARACTERS = 8_000

/** A step of the plan with its result, or with the problem if it failed. */
interface TrackedStep extends PlanStep {
  readonly status: 'done' | 'failed' | 'open' | 'replaced'
  readonly result: string
}

const fields = {
  goal: z.string().min(1).max(20_000).describe('The goal to reach.'),
  constraints: z
    .array(z.string().min(1).max(2_000))
    .max(20)
    .exactOptional()
    .describe('Constraints that every step has to meet.'),
}
type Input = z.output<z.ZodObject<typeof fields>>

const planShape = z.object({
  steps: z
    .array(
      z.object({
        id: z.string().describe('Short and unique: s1, s2 …'),
        task: z.string().describe('What to do, in one or two sentences. Results of other steps are called {id}.'),
        needs: z.array(z.string()).describe('Ids of the steps whose results this one uses.'),
      }),
    )
    .describe('In the order they are to be done.'),
})

const stepShape = z.object({
  ok: z.boolean().describe('Whether the step could be done.'),
  result: z.string().describe('What the step was to find or to make, in full.'),
  problem: z.string().describe('What was in the way; empty where it could be done.'),
})

const answerShape = z.object({ answer: z.string().describe('What the goal asks for, put together from the results.') })

const PLAN_PROMPT =
  'You plan. Take the goal apart into a few steps (one to twelve) that can be done by thinking and writing alone, one after the other. Each step names the ids of the steps whose results it uses; no circles.'
const STEP_PROMPT =
  'You do one step of a plan. Use the results of earlier steps that are given. Where the step cannot be done, say so: ok is false and problem says why.'
const ANSWER_PROMPT = 'You put the results of a plan together into the answer that the goal asks for.'

export const PLANNING = definePattern({
  name: 'planning',
  description: 'Takes a goal apart into steps that depend on each other, checks the plan, and does them in order.',
  fields,
  defaultMaxSteps: 20,
  execute: async (input, trail) => {
    const execution = new PlanExecution(input, trail)
    await execution.plan('plan', [])
    while (execution.nextStep !== undefined) await execution.doStep(execution.nextStep)
    return await execution.composeAnswer()
  },
})

/** A plan and its progress. */
class PlanExecution {
  readonly #input: Input
  readonly #trail: Trail
  readonly #problems: string[] = []
  #steps: TrackedStep[] = []
  #hasReplanned = false

  constructor(input: Input, trail: Trail) {
    this.#input = input
    this.#trail = trail
  }

  get nextStep(): TrackedStep | undefined {
    return this.#steps.find(({ status }) => status === 'open')
  }

  /** Makes the plan, or a new plan for what is left. A plan that cannot be followed is sent back to the model once. */
  async plan(name: string, instructions: readonly string[]): Promise<void> {
    const done = this.#steps.filter(({ status }) => status === 'done')
    const usedIds = this.#steps.map(({ id }) => id)
    const words = [...this.#goal(), ...this.#results(done), ...instructions]
    let problems: readonly string[] = []
    for (const suffix of ['', ' again']) {
      const corrections =
        problems.length === 0 ? [] : [`Your plan has mistakes:\n${bullets(problems)}\nGive a better one.`]
      const { steps } = await this.#callModelAs(`${name}${suffix}`, PLAN_PROMPT, [...words, ...corrections], planShape)
      problems = problemsOf(
        steps,
        usedIds,
        done.map(({ id }) => id),
      )
      if (problems.length === 0) {
        this.#steps = [...this.#steps, ...orderOf(steps).map((step) => ({ ...step, ...NEW_STEP_STATE }))]
        this.#keepPartialResult()
        return
      }
      this.#problems.push(...problems)
    }
    throw new RunStopped('error', `The model made two plans that cannot be followed. The second one: ${problems[0]}.`)
  }

  /** Does a step. After the first failure the rest is planned again; a second failure ends the run. */
  async doStep(step: TrackedStep): Promise<void> {
    const inputs = this.#steps.filter(({ id }) => step.needs.includes(id))
    const words = [...this.#goal(), ...this.#results(inputs), `Your step (${step.id}): ${step.task}`]
    const { ok, result, problem } = await this.#callModelAs(
      `do ${truncate(step.id, 40)}`,
      STEP_PROMPT,
      words,
      stepShape,
    )
    const done = ok && result.trim() !== ''
    this.#setStatus(step, done ? 'done' : 'failed', done ? result : problem)
    if (done) return
    const failure = `Step ${step.id} failed: ${truncate(problem.trim() || 'it has no result', 500)}`
    this.#problems.push(failure)
    this.#keepPartialResult()
    if (this.#hasReplanned) throw new RunStopped('error', `${failure}, after the plan had been changed.`)
    this.#hasReplanned = true
    for (const openStep of this.#steps.filter(({ status }) => status === 'open'))
      this.#setStatus(openStep, 'replaced', '')
    const ids = this.#steps.map(({ id }) => id).join(', ')
    await this.plan('replan', [`${failure}. Plan what is left in another way, with ids other than ${ids}.`])
  }

  /** Makes the answer from the results. */
  async composeAnswer(): Promise<JsonObject> {
    const words = [...this.#goal(), ...this.#results(this.#steps.filter(({ status }) => status === 'done'))]
    const { answer } = await this.#callModelAs('answer', ANSWER_PROMPT, words, answerShape)
    return this.#result(answer, true)
  }

  async #callModelAs<Shape extends z.ZodType>(name: string, system: string, words: readonly string[], shape: Shape) {
    return await this.#trail.callModelAs(name, { system, messages: [textMessage('user', words.join('\n\n'))] }, shape)
  }

  #goal(): string[] {
    const { goal, constraints = [] } = this.#input
    return [`Goal: ${goal}`, ...(constraints.length > 0 ? [`Constraints:\n${bullets(constraints)}`] : [])]
  }

  #results(steps: readonly TrackedStep[]): string[] {
    const texts = fence(
      'result',
      steps.map(({ result }) => truncate(result, MAX_RESULT_CHARACTERS)),
    )
    return steps.map(({ id, task }, index) => `Result {${id}} of "${truncate(task, 500)}":\n${texts[index]}`)
  }

  #setStatus(step: TrackedStep, status: TrackedStep['status'], result: string): void {
    this.#steps = this.#steps.map((candidate) => (candidate === step ? { ...candidate, status, result } : candidate))
    this.#keepPartialResult()
  }

  #keepPartialResult(): void {
    const last = this.#steps.findLast(({ status }) => status === 'done')
    this.#trail.partialResult = this.#result(last?.result ?? null, false)
  }

  /** @param answer the final answer, or until then the latest result */
  #result(answer: string | null, complete: boolean): JsonObject {
    return { answer, complete, plan: this.#steps, replanned: this.#hasReplanned, problems: [...this.#problems] }
  }
}

const NEW_STEP_STATE = { status: 'open', result: '' } as const

function bullets(lines: readonly string[]): string {
  return lines.map((line) => `- ${line}`).join('\n')
}
