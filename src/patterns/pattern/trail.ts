// Pattern trail: the steps of one run. It counts and records every step, and makes none on its own.

import type { z } from 'zod'
import type { JsonObject, OutputFormat, Part } from '../../core/chat.ts'
import {
  type Embed,
  type ModelRequest,
  type ModelResponse,
  type Outcome,
  type Run,
  RunStopped,
  type Step,
} from './run.ts'
import { type ReadResult, readAs, schemaOf, textMessage, truncate } from './text.ts'

const MAX_STEP_CHARACTERS = 500
const MAX_REPAIR_CHARACTERS = 20_000

/**
 * One run as its pattern sees it: the only way to models, tools and searches. Every method throws RunStopped if the caller
 * has disconnected or if all steps are used up.
 *
 * @example
 * const { score } = await trail.callModelAs('score', { messages }, z.object({ score: z.number() }))
 * trail.partialResult = { score }
 */
export class Trail {
  readonly #run: Run
  readonly #steps: Step[] = []
  #isSimulated = false
  /** The result if the run ends early. Undefined: an early end is an error. */
  partialResult: JsonObject | undefined

  constructor(run: Run) {
    this.#run = run
  }

  get nowMs(): number {
    return this.#run.nowMs()
  }

  get embed(): Embed | undefined {
    return this.#run.embed
  }

  /** Makes a model call and returns its response. @param name the step's name */
  async callModel(name: string, request: ModelRequest): Promise<ModelResponse> {
    const { response } = await this.#callModel(name, request, ({ text }) => ({ ok: true, value: text }))
    return response
  }

  /**
   * Makes a model call and parses its response as a shape. If the response does not fit, calls the model once more and tells
   * it why. Throws RunStopped `error` if the second response does not fit either.
   */
  async callModelAs<Shape extends z.ZodType>(
    name: string,
    request: ModelRequest,
    shape: Shape,
  ): Promise<z.output<Shape>> {
    const format: OutputFormat = { kind: 'schema', name: schemaNameOf(name), schema: schemaOf(shape), strict: true }
    let messages = request.messages
    let problem = ''
    for (const step of [name, `${name} again`]) {
      const { response, read } = await this.#callModel(step, { ...request, format, messages }, (response) =>
        readResponseAs(shape, response),
      )
      if (read.ok) return read.value
      problem = read.problem
      const again = `That cannot be used: ${problem}. Answer again, with a JSON object of the schema and nothing else.`
      messages = [
        ...request.messages,
        textMessage('assistant', truncate(response.text, MAX_REPAIR_CHARACTERS)),
        textMessage('user', again),
      ]
    }
    throw new RunStopped('error', `The model's response in the step "${name}" cannot be used: ${problem}.`)
  }

  /** Records `work` as one step and returns its value. @param asked the step's input, for people */
  async runStep<Value>(
    kind: 'tool' | 'retrieve',
    name: string,
    asked: string,
    work: () => Promise<StepResult<Value>> | StepResult<Value>,
  ): Promise<Value> {
    const startedMs = this.#startStep()
    const { value, ...done } = await work()
    this.#endStep(startedMs, { name, kind, asked, ...done })
    return value
  }

  /** The outcome of the run so far, with this result. */
  outcome(result: JsonObject): Outcome {
    const steps = this.#steps
    return {
      result,
      steps,
      modelCalls: steps.filter(({ kind }) => kind === 'ask').length,
      tokens: {
        input: steps.reduce((sum, { tokens }) => sum + (tokens?.input ?? 0), 0),
        output: steps.reduce((sum, { tokens }) => sum + (tokens?.output ?? 0), 0),
      },
      costNanoUsd: steps.reduce((sum, { costNanoUsd }) => sum + (costNanoUsd ?? 0n), 0n),
      simulated: this.#isSimulated,
    }
  }

  async #callModel<Value>(name: string, request: ModelRequest, parse: (response: ModelResponse) => ReadResult<Value>) {
    const startedMs = this.#startStep()
    const response = await this.#run.callModel(request, name)
    const { parts, tokens, costNanoUsd, model, callId } = response
    const read = parse(response)
    const failed = read.ok ? {} : { failed: read.problem }
    const texts = {
      asked: describeParts(request.messages.at(-1)?.parts ?? []),
      answered: describeParts(parts),
      ...failed,
    }
    this.#isSimulated ||= response.simulated
    this.#endStep(startedMs, { name, kind: 'ask', ...texts, tokens, costNanoUsd, model, callId })
    return { response, read }
  }

  #startStep(): number {
    if (this.#run.isClientGone()) throw new RunStopped('left', 'The caller has disconnected.')
    const { maxSteps } = this.#run
    if (this.#steps.length >= maxSteps)
      throw new RunStopped('steps', `The run has used all of its ${maxSteps} steps. Set a higher max_steps.`)
    return this.#run.nowMs()
  }

  #endStep(startedMs: number, done: Omit<Step, 'number' | 'durationMs'>): void {
    const step = {
      ...done,
      number: this.#steps.length + 1,
      asked: truncate(done.asked, MAX_STEP_CHARACTERS),
      answered: truncate(done.answered, MAX_STEP_CHARACTERS),
      durationMs: Math.max(0, this.#run.nowMs() - startedMs),
    }
    this.#steps.push(step)
    this.#run.recordStep(step)
  }
}

/** The value of a step, and what its record says of it. */
export interface StepResult<Value>
  extends Pick<Step, 'answered' | 'failed' | 'tokens' | 'costNanoUsd' | 'model' | 'callId'> {
  readonly value: Value
}

/** A schema name with the characters and the length that providers accept. */
function schemaNameOf(step: string): string {
  return step.replace(/[^a-zA-Z0-9_-]/g, '_').slice(0, 64)
}

function readResponseAs<Shape extends z.ZodType>(
  shape: Shape,
  { text, stop }: ModelResponse,
): ReadResult<z.output<Shape>> {
  const read = readAs(shape, text)
  if (read.ok) return read
  if (stop === 'length' || stop === 'context') return { ok: false, problem: `${read.problem} (cut off at its length)` }
  const declined = stop === 'refusal' || stop === 'filtered'
  return declined ? { ok: false, problem: `${read.problem} (the model declined)` } : read
}

/** A short description of parts, for people. */
function describeParts(parts: readonly Part[]): string {
  return parts
    .map((part) => {
      if (part.kind === 'text' || part.kind === 'refusal') return truncate(part.text, MAX_STEP_CHARACTERS)
      if (part.kind === 'toolCall') return `${part.name}(${truncate(part.arguments, MAX_STEP_CHARACTERS)})`
      return part.kind === 'toolResult' ? `${part.name}: ${describeParts(part.parts)}` : ''
    })
    .filter((text) => text !== '')
    .join('\n')
}
