// Pattern trail: a run under way. Its steps are counted and told, its shapes asked for, and its findings kept.

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

/** A run under way: its steps, and what it found so far. */
export class Trail {
  readonly #run: Run
  readonly #steps: Step[] = []
  #isSimulated = false
  /** What is given back should the run end now. */
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

  /** Asks in free words. */
  async callModel(name: string, ask: ModelRequest): Promise<ModelResponse> {
    const { answer } = await this.#callModel(name, ask, ({ text }) => ({ ok: true, value: text }))
    return answer
  }

  /** Asks for a shape. What does not fit it is told to the model once; throws Stopped `error` where that does not help. */
  async callModelAs<Shape extends z.ZodType>(name: string, ask: ModelRequest, shape: Shape): Promise<z.output<Shape>> {
    const format: OutputFormat = { kind: 'schema', name: schemaNameOf(name), schema: schemaOf(shape), strict: true }
    let messages = ask.messages
    let problem = ''
    for (const step of [name, `${name} again`]) {
      const { answer, read } = await this.#callModel(step, { ...ask, format, messages }, (answer) =>
        readResponseAs(shape, answer),
      )
      if (read.ok) return read.value
      problem = read.problem
      const again = `That cannot be used: ${problem}. Answer again, with a JSON object of the schema and nothing else.`
      messages = [
        ...ask.messages,
        textMessage('assistant', truncate(answer.text, MAX_REPAIR_CHARACTERS)),
        textMessage('user', again),
      ]
    }
    throw new RunStopped('error', `The model's answer to the step "${name}" cannot be used: ${problem}.`)
  }

  /** Does something that is no ask. */
  async runStep<Value>(
    kind: 'tool' | 'retrieve',
    name: string,
    asked: string,
    work: () => Promise<StepResult<Value>> | StepResult<Value>,
  ): Promise<Value> {
    const begunMs = this.#startStep()
    const { value, ...done } = await work()
    this.#endStep(begunMs, { name, kind, asked, ...done })
    return value
  }

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

  async #callModel<Value>(name: string, ask: ModelRequest, reader: (answer: ModelResponse) => ReadResult<Value>) {
    const begunMs = this.#startStep()
    const answer = await this.#run.callModel(ask, name)
    const { parts, tokens, costNanoUsd, model, callId } = answer
    const read = reader(answer)
    const failed = read.ok ? {} : { failed: read.problem }
    const words = { asked: describeParts(ask.messages.at(-1)?.parts ?? []), answered: describeParts(parts), ...failed }
    this.#isSimulated ||= answer.simulated
    this.#endStep(begunMs, { name, kind: 'ask', ...words, tokens, costNanoUsd, model, callId })
    return { answer, read }
  }

  #startStep(): number {
    if (this.#run.isClientGone()) throw new RunStopped('left', 'The caller is gone.')
    const { maxSteps } = this.#run
    if (this.#steps.length >= maxSteps) throw new RunStopped('steps', `The run has taken all its ${maxSteps} steps.`)
    return this.#run.nowMs()
  }

  #endStep(begunMs: number, done: Omit<Step, 'number' | 'durationMs'>): void {
    const step = {
      ...done,
      number: this.#steps.length + 1,
      asked: truncate(done.asked, MAX_STEP_CHARACTERS),
      answered: truncate(done.answered, MAX_STEP_CHARACTERS),
      durationMs: Math.max(0, this.#run.nowMs() - begunMs),
    }
    this.#steps.push(step)
    this.#run.recordStep(step)
  }
}

/** What came of a step that is no ask: its value, and what is told of it. */
export interface StepResult<Value>
  extends Pick<Step, 'answered' | 'failed' | 'tokens' | 'costNanoUsd' | 'model' | 'callId'> {
  readonly value: Value
}

/** What providers take as the name of a schema. */
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

/** Parts in short, for people. */
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
