// Planning: a goal is taken apart into steps, the plan is checked, and its steps are done in order, results fed forward.

import { z } from 'zod'
import type { JsonObject } from '../../core/chat.ts'
import { cut, fenced, patternOf, Stopped, type Trail, told } from '../pattern/pattern.ts'
import { orderOf, type Planned, problemsOf } from './check.ts'

const MOST_RESULT_CHARACTERS = 8_000

interface Done extends Planned {
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

const PLANS =
  'You plan. Take the goal apart into a few steps (one to twelve) that can be done by thinking and writing alone, one after the other. Each step names the ids of the steps whose results it uses; no circles.'
const DOES =
  'You do one step of a plan. Use the results of earlier steps that are given. Where the step cannot be done, say so: ok is false and problem says why.'
const ANSWERS = 'You put the results of a plan together into the answer that the goal asks for.'

export const PLANNING = patternOf({
  name: 'planning',
  about: 'Takes a goal apart into steps that depend on each other, checks the plan, and does them in order.',
  fields,
  usualSteps: 20,
  follow: async (asked, trail) => {
    const work = new Work(asked, trail)
    await work.plan('plan', [])
    while (work.next !== undefined) await work.do(work.next)
    return await work.answer()
  },
})

/** The plan and what was done of it. */
class Work {
  readonly #asked: Input
  readonly #trail: Trail
  readonly #problems: string[] = []
  #steps: Done[] = []
  #replanned = false

  constructor(asked: Input, trail: Trail) {
    this.#asked = asked
    this.#trail = trail
  }

  get next(): Done | undefined {
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
      const { steps } = await this.#ask(`${name}${again}`, PLANS, [...words, ...sent], planShape)
      problems = problemsOf(
        steps,
        known,
        done.map(({ id }) => id),
      )
      if (problems.length === 0) {
        this.#steps = [...this.#steps, ...orderOf(steps).map((step) => ({ ...step, ...OPEN }))]
        this.#keep()
        return
      }
      this.#problems.push(...problems)
    }
    throw new Stopped('error', `The model twice made a plan that cannot be followed: ${problems[0]}.`)
  }

  /** Does a step. The first that fails has the rest planned anew; the second ends the run. */
  async do(step: Done): Promise<void> {
    const inputs = this.#steps.filter(({ id }) => step.needs.includes(id))
    const words = [...this.#goal(), ...this.#results(inputs), `Your step (${step.id}): ${step.task}`]
    const { ok, result, problem } = await this.#ask(`do ${cut(step.id, 40)}`, DOES, words, stepShape)
    const done = ok && result.trim() !== ''
    this.#mark(step, done ? 'done' : 'failed', done ? result : problem)
    if (done) return
    const failure = `Step ${step.id} failed: ${cut(problem.trim() || 'it has no result', 500)}`
    this.#problems.push(failure)
    this.#keep()
    if (this.#replanned) throw new Stopped('error', `${failure}, after the plan had been changed.`)
    this.#replanned = true
    for (const open of this.#steps.filter(({ status }) => status === 'open')) this.#mark(open, 'replaced', '')
    const ids = this.#steps.map(({ id }) => id).join(', ')
    await this.plan('replan', [`${failure}. Plan what is left in another way, with ids other than ${ids}.`])
  }

  async answer(): Promise<JsonObject> {
    const words = [...this.#goal(), ...this.#results(this.#steps.filter(({ status }) => status === 'done'))]
    const { answer } = await this.#ask('answer', ANSWERS, words, answerShape)
    return this.#result(answer, true)
  }

  async #ask<Shape extends z.ZodType>(name: string, system: string, words: readonly string[], shape: Shape) {
    return await this.#trail.askFor(name, { system, messages: [told('user', words.join('\n\n'))] }, shape)
  }

  #goal(): string[] {
    const { goal, constraints = [] } = this.#asked
    return [`Goal: ${goal}`, ...(constraints.length > 0 ? [`Constraints:\n${bullets(constraints)}`] : [])]
  }

  #results(steps: readonly Done[]): string[] {
    const texts = fenced(
      'result',
      steps.map(({ result }) => cut(result, MOST_RESULT_CHARACTERS)),
    )
    return steps.map(({ id, task }, at) => `Result {${id}} of "${cut(task, 500)}":\n${texts[at]}`)
  }

  #mark(step: Done, status: Done['status'], result: string): void {
    this.#steps = this.#steps.map((one) => (one === step ? { ...one, status, result } : one))
    this.#keep()
  }

  #keep(): void {
    const last = this.#steps.findLast(({ status }) => status === 'done')
    this.#trail.found = this.#result(last?.result ?? null, false)
  }

  /** @param answer the newest result there is, until they are put together */
  #result(answer: string | null, complete: boolean): JsonObject {
    return { answer, complete, plan: this.#steps, replanned: this.#replanned, problems: [...this.#problems] }
  }
}

const OPEN = { status: 'open', result: '' } as const

function bullets(lines: readonly string[]): string {
  return lines.map((line) => `- ${line}`).join('\n')
}
