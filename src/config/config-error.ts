// ConfigError: everything that is wrong with a configuration, in one error. No mistake repeats a secret.

/** Thrown for settings and for bursar.json, before anything of them is in force. */
export class ConfigError extends Error {
  override name = 'ConfigError'
  /** One sentence for each mistake. It begins with the place: `PORT: must be …`, `limits.global.costPerDay: must be …`. */
  readonly mistakes: readonly string[]
  /** What could be read and should be looked at as well, in the same form. */
  readonly warnings: readonly string[]

  constructor(mistakes: readonly string[], warnings: readonly string[] = []) {
    super(
      [
        `The configuration has ${counted(mistakes, 'mistake')}:`,
        ...mistakes.map(indented),
        ...(warnings.length > 0 ? [`It has ${counted(warnings, 'warning')}, too:`, ...warnings.map(indented)] : []),
      ].join('\n'),
    )
    this.mistakes = mistakes
    this.warnings = warnings
  }
}

/** `1 mistake`, `2 mistakes`. */
export function counted(things: readonly unknown[], name: string): string {
  return things.length === 1 ? `1 ${name}` : `${things.length} ${name}s`
}

function indented(line: string): string {
  return `  ${line}`
}
