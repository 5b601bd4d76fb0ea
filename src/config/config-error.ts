// ConfigError: everything that is wrong with a configuration, in one error. No mistake repeats a secret.

/** Thrown for settings and for bursar.json, before anything of them is in force. */
export class ConfigError extends Error {
  override name = 'ConfigError'
  /** One sentence for each mistake. It begins with the place: `PORT: must be …`, `limits.global.costPerDay: must be …`. */
  readonly mistakes: readonly string[]

  constructor(mistakes: readonly string[]) {
    const count = mistakes.length === 1 ? '1 mistake' : `${mistakes.length} mistakes`
    super(`The configuration has ${count}:\n${mistakes.map((mistake) => `  ${mistake}`).join('\n')}`)
    this.mistakes = mistakes
  }
}
