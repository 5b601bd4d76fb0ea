// Planning: a goal is taken apart into steps, the plan is checked, and its steps are done in order, results fed forward.

import { z } from 'zod'
import type { JsonObject } from '../../core/chat.ts'
import { definePattern, fence, RunStopped, type Trail, textMessage, truncate } from '../pattern/pattern.ts'
import { orderOf, type PlanStep, problemsOf } from './check.ts'

const MAX_RESULT_CHARACTERS = 8_000

interface TrackedStep extends PlanStep {
  readonly status: 'done' | 'failed' | 'open' | 'replaced'
  readonly result: string
}

const fields = {
  goal: z.string().min(1).max(20_000).describe('What is to be reached.'),
  constraints: z
    .array(z.string().min(1).max(2_000))
    .max(20)
    .exactOptional()
    .describe('What every step has to keep to.'),
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
  execute: async (asked, trail) => {
    const work = new PlanExecution(asked, trail)
    await work.plan('plan', [])
    while (work.nextStep !== undefined) await work.doStep(work.nextStep)
    return await work.composeAnswer()
  },
})

/** The plan and what was done of it. */
class PlanExecution {
  readonly #input: Input
  readonly #trail: Trail
  readonly #problems: string[] = []
  #steps: TrackedStep[] = []
  #hasReplanned = false

  constructor(asked: Input, trail: Trail) {
    this.#input = asked
    this.#trail = trail
  }

  get nextStep(): TrackedStep | undefined {
    return this.#steps.find(({ status }) => status === 'open')
  }

  /** Makes the plan, or the rest of it. A plan that cannot be followed is sent back once. */
  async plan(name: string, more: readonly string[]): Promise<void> {
    const done = this.#steps.filter(({ status }) => status === 'done')
    const known = this.#steps.map(({ id }) => id)
    const words = [...this.#goal(), ...this.#results(done), ...more]
    let problems: readonly string[] = []
    for (const again of ['', ' again']) {
      const sent = problems.length === 0 ? [] : [`Your plan has mistakes:\n${bullets(problems)}\nGive a better one.`]
      const { steps } = await this.#callModelAs(`${name}${again}`, PLAN_PROMPT, [...words, ...sent], planShape)
      problems = problemsOf(
        steps,
        known,
        done.map(({ id }) => id),
      )
      if (problems.length === 0) {
        this.#steps = [...this.#steps, ...orderOf(steps).map((step) => ({ ...step, ...NEW_STEP_STATE }))]
        this.#keepPartialResult()
        return
      }
      this.#problems.push(...problems)
    }
    throw new RunStopped('error', `The model twice made a plan that cannot be followed: ${problems[0]}.`)
  }

  /** Does a step. The first that fails has the rest planned anew; the second ends the run. */
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
    for (const open of this.#steps.filter(({ status }) => status === 'open')) this.#setStatus(open, 'replaced', '')
    const ids = this.#steps.map(({ id }) => id).join(', ')
    await this.plan('replan', [`${failure}. Plan what is left in another way, with ids other than ${ids}.`])
  }

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
    return steps.map(({ id, task }, at) => `Result {${id}} of "${truncate(task, 500)}":\n${texts[at]}`)
  }

  #setStatus(step: TrackedStep, status: TrackedStep['status'], result: string): void {
    this.#steps = this.#steps.map((one) => (one === step ? { ...one, status, result } : one))
    this.#keepPartialResult()
  }

  #keepPartialResult(): void {
    const last = this.#steps.findLast(({ status }) => status === 'done')
    this.#trail.partialResult = this.#result(last?.result ?? null, false)
  }

  /** @param answer the newest result there is, until they are put together */
  #result(answer: string | null, complete: boolean): JsonObject {
    return { answer, complete, plan: this.#steps, replanned: this.#hasReplanned, problems: [...this.#problems] }
  }
}

const NEW_STEP_STATE = { status: 'open', result: '' } as const

function bullets(lines: readonly string[]): string {
  return lines.map((line) => `- ${line}`).join('\n')
}
