// Named turns: steps with the same name run one after the other, and all others at the same time. It keeps no name whose steps are over.

/**
 * @example
 * await turns.run('ci', () => changeKey('ci')) // waits for the change of ci that is under way
 */
export class NamedTurns {
  readonly #lastByName = new Map<string, Promise<void>>()

  /** Runs a step once those before it are over, however they ended. Resolves and rejects as the step does. */
  run<Result>(name: string, step: () => Promise<Result>): Promise<Result> {
    const result = (this.#lastByName.get(name) ?? Promise.resolve()).then(step)
    const over = () => {
      if (this.#lastByName.get(name) === last) this.#lastByName.delete(name)
    }
    const last: Promise<void> = result.then(over, over)
    this.#lastByName.set(name, last)
    return result
  }

  /** How many names have a step that is not over. */
  get size(): number {
    return this.#lastByName.size
  }
}
