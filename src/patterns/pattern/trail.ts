// Pattern trail: a run under way. Its steps are counted and told, its shapes asked for, and its findings kept.

import type { z } from 'zod'
import type { JsonObject, OutputFormat, Part } from '../../core/chat.ts'
import { type Embed, type ModelAnswer, type ModelAsk, type Outcome, type Run, type Step, Stopped } from './run.ts'
import { cut, type Read, readAs, schemaOf, told } from './text.ts'

const MOST_STEP_CHARACTERS = 500
const MOST_REPAIR_CHARACTERS = 20_000

/** A run under way: its steps, and what it found so far. */
export class Trail {
  readonly #run: Run
  readonly #steps: Step[] = []
  #simulated = false
  /** What is given back should the run end now. */
  found: JsonObject | undefined

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
  async ask(name: string, ask: ModelAsk): Promise<ModelAnswer> {
    const { answer } = await this.#ask(name, ask, ({ text }) => ({ ok: true, value: text }))
    return answer
  }

  /** Asks for a shape. What does not fit it is told to the model once; throws Stopped `error` where that does not help. */
  async askFor<Shape extends z.ZodType>(name: string, ask: ModelAsk, shape: Shape): Promise<z.output<Shape>> {
    const format: OutputFormat = { kind: 'schema', name: formatName(name), schema: schemaOf(shape), strict: true }
    let messages = ask.messages
    let problem = ''
    for (const step of [name, `${name} again`]) {
      const { answer, read } = await this.#ask(step, { ...ask, format, messages }, (answer) => readIn(shape, answer))
      if (read.ok) return read.value
      problem = read.problem
      const again = `That cannot be used: ${problem}. Answer again, with a JSON object of the schema and nothing else.`
      messages = [...ask.messages, told('assistant', cut(answer.text, MOST_REPAIR_CHARACTERS)), told('user', again)]
    }
    throw new Stopped('error', `The model's answer to the step "${name}" cannot be used: ${problem}.`)
  }

  /** Does something that is no ask. */
  async take<Value>(
    kind: 'tool' | 'retrieve',
    name: string,
    asked: string,
    work: () => Promise<Worked<Value>> | Worked<Value>,
  ): Promise<Value> {
    const begunMs = this.#begin()
    const { value, ...done } = await work()
    this.#end(begunMs, { name, kind, asked, ...done })
    return value
  }

  outcome(result: JsonObject): Outcome {
    const steps = this.#steps
    return {
      result,
      steps,
      asks: steps.filter(({ kind }) => kind === 'ask').length,
      tokens: {
        input: steps.reduce((sum, { tokens }) => sum + (tokens?.input ?? 0), 0),
        output: steps.reduce((sum, { tokens }) => sum + (tokens?.output ?? 0), 0),
      },
      costNanoUsd: steps.reduce((sum, { costNanoUsd }) => sum + (costNanoUsd ?? 0n), 0n),
      simulated: this.#simulated,
    }
  }

  async #ask<Value>(name: string, ask: ModelAsk, reader: (answer: ModelAnswer) => Read<Value>) {
    const begunMs = this.#begin()
    const answer = await this.#run.ask(ask, name)
    const { parts, tokens, costNanoUsd, model, callId } = answer
    const read = reader(answer)
    const failed = read.ok ? {} : { failed: read.problem }
    const words = { asked: shown(ask.messages.at(-1)?.parts ?? []), answered: shown(parts), ...failed }
    this.#simulated ||= answer.simulated
    this.#end(begunMs, { name, kind: 'ask', ...words, tokens, costNanoUsd, model, callId })
    return { answer, read }
  }

  #begin(): number {
    if (this.#run.left()) throw new Stopped('left', 'The caller is gone.')
    const { mostSteps } = this.#run
    if (this.#steps.length >= mostSteps) throw new Stopped('steps', `The run has taken all its ${mostSteps} steps.`)
    return this.#run.nowMs()
  }

  #end(begunMs: number, done: Omit<Step, 'number' | 'durationMs'>): void {
    const step = {
      ...done,
      number: this.#steps.length + 1,
      asked: cut(done.asked, MOST_STEP_CHARACTERS),
      answered: cut(done.answered, MOST_STEP_CHARACTERS),
      durationMs: Math.max(0, this.#run.nowMs() - begunMs),
    }
    this.#steps.push(step)
    this.#run.step(step)
  }
}

/** What came of a step that is no ask: its value, and what is told of it. */
export interface Worked<Value>
  extends Pick<Step, 'answered' | 'failed' | 'tokens' | 'costNanoUsd' | 'model' | 'callId'> {
  readonly value: Value
}

/** What providers take as the name of a schema. */
function formatName(step: string): string {
  return step.replace(/[^a-zA-Z0-9_-]/g, '_').slice(0, 64)
}

function readIn<Shape extends z.ZodType>(shape: Shape, { text, stop }: ModelAnswer): Read<z.output<Shape>> {
  const read = readAs(shape, text)
  if (read.ok) return read
  if (stop === 'length' || stop === 'context') return { ok: false, problem: `${read.problem} (cut off at its length)` }
  const declined = stop === 'refusal' || stop === 'filtered'
  return declined ? { ok: false, problem: `${read.problem} (the model declined)` } : read
}

/** Parts in short, for people. */
function shown(parts: readonly Part[]): string {
  return parts
    .map((part) => {
      if (part.kind === 'text' || part.kind === 'refusal') return cut(part.text, MOST_STEP_CHARACTERS)
      if (part.kind === 'toolCall') return `${part.name}(${cut(part.arguments, MOST_STEP_CHARACTERS)})`
      return part.kind === 'toolResult' ? `${part.name}: ${shown(part.parts)}` : ''
    })
    .filter((text) => text !== '')
    .join('\n')
}
