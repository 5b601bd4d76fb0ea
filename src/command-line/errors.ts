// Errors of commands, and the exit code of each.

/** Thrown if a command was given what it does not take. The exit code is 2. */
export class UsageError extends Error {
  override name = 'UsageError'
}

/** Thrown if a command fails. The message says what to do. The exit code is 1. */
export class CommandError extends Error {
  override name = 'CommandError'
  /** Of the gateway's answer; undefined if there was none. */
  readonly status: number | undefined

  constructor(message: string, { status, ...options }: ErrorOptions & { readonly status?: number } = {}) {
    super(message, options)
    this.status = status
  }
}
