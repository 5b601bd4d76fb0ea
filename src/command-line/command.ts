// Command: what one command of `bursar` is, and how its arguments are read. It sends nothing.

import { parseArgs } from 'node:util'
import { listOf } from '../core/issue-text.ts'
import { didYouMean } from '../core/nearest-name.ts'
import type { GatewayClient } from './client.ts'
import { UsageError } from './errors.ts'

/** An option that has a value, or that is there or not. */
export interface Option {
  readonly type: 'string' | 'boolean'
  /** May stand several times. */
  readonly multiple?: boolean
  /** What its value is, in capitals, for the help: `FILE`. */
  readonly value?: string
  readonly text: string
}

/** What a command prints. */
export interface Output {
  /** The gateway's answer as it came, for programs. */
  readonly json: string
  /** For people. */
  readonly text: string
  /** What a command that has written its output already says of it, on standard error. */
  readonly note?: string
  /** What failed although the gateway answered, on standard error in place of `text`. The exit code is then 1. */
  readonly failure?: string
}

/** Takes what is too long for one text. Rejects with CommandError if it cannot be written. */
export interface Sink {
  /** Resolves once there is room for more. */
  write(chunk: Uint8Array): Promise<void>
}

/** A file that gets its name, in place of any file that has it, once it is whole. */
export interface DraftFile extends Sink {
  keep(): Promise<void>
  discard(): Promise<void>
}

/** Where a command shows what it does while it runs. */
export interface Terminal {
  readonly output: Sink
  /** Shows how far long work is, in place of what was shown before. Nothing if standard error is no terminal. */
  progress(text: string): void
}

/** What a command is given. */
export interface Invocation {
  /** One for each name in `Command.arguments`, then those of `Command.optional` or `Command.rest`. */
  readonly args: readonly string[]
  readonly options: Options
  readonly client: GatewayClient
  readonly files: Files
  readonly terminal: Terminal
  /** Epoch milliseconds. */
  readonly nowMs: number
}

/** Files of commands. Rejects with CommandError if one cannot be read or written. */
export interface Files {
  read(path: string): Promise<string>
  /** A file that only its owner can read. */
  create(path: string): Promise<DraftFile>
  /** All of standard input; undefined if it is a terminal. */
  readInput(): Promise<string | undefined>
}

/**
 * One command, in a file of `command-line/` and a line of its `index.ts`.
 *
 * @example
 * export const EXPLAIN: Command = {
 *   name: 'explain',
 *   arguments: ['CALL_ID'],
 *   summary: 'What a call cost, or why it was refused.',
 *   examples: ['bursar explain 01a2081b-932c-73ce-ae45-005c56199fce'],
 *   run: async ({ args: [id = ''], client }) => {
 *     const answer = await client.send('GET', `/llm/explain/${encodeURIComponent(id)}`)
 *     return { json: answer.json, text: fieldsText(answer.value) }
 *   },
 * }
 */
export interface Command {
  /** As it is typed: `keys create`. */
  readonly name: string
  /** Names of the arguments, all of which must be there. */
  readonly arguments?: readonly string[]
  /** The name of one further argument that may be there. */
  readonly optional?: string
  /** The name of further arguments, of which there may be any number. */
  readonly rest?: string
  /** One line. */
  readonly summary: string
  /** Further lines of its help. */
  readonly details?: string
  readonly options?: Readonly<Record<string, Option>>
  readonly examples: readonly string[]
  run(invocation: Invocation): Promise<Output>
}

/** Options that every command has. */
const COMMON_OPTIONS: Readonly<Record<string, Option>> = {
  json: { type: 'boolean', text: "Prints the gateway's answer as JSON, for programs." },
  help: { type: 'boolean', text: 'Prints this text.' },
}

/** The options that were given. */
export class Options {
  readonly #values: Readonly<Record<string, unknown>>

  constructor(values: Readonly<Record<string, unknown>>) {
    this.#values = values
  }

  text(name: string): string | undefined {
    const value = this.#values[name]
    return typeof value === 'string' ? value : undefined
  }

  /** All values of an option that may stand several times. */
  texts(name: string): readonly string[] {
    const value = this.#values[name]
    return Array.isArray(value) ? value.filter((item) => typeof item === 'string') : []
  }

  /** Those of the names that are given, as the query of a URL; empty if none is. */
  query(names: readonly string[]): string {
    const given = names.flatMap((name): [string, string][] => {
      const value = this.text(name)
      return value === undefined ? [] : [[name, value]]
    })
    return given.length === 0 ? '' : `?${new URLSearchParams(given)}`
  }

  has(name: string): boolean {
    return this.#values[name] === true
  }

  /** Throws UsageError unless the value is a whole number. */
  number(name: string): number | undefined {
    const value = this.text(name)
    if (value === undefined) return undefined
    if (!/^\d{1,15}$/.test(value)) throw new UsageError(`--${name} must be a whole number.`)
    return Number(value)
  }
}

/** The arguments and options of a command. Throws UsageError. */
export function readArguments(
  command: Command,
  args: readonly string[],
): { args: readonly string[]; options: Options } {
  const known = { ...command.options, ...COMMON_OPTIONS }
  const options = Object.fromEntries(
    Object.entries(known).map(([name, { type, multiple = false }]) => [name, { type, multiple }]),
  )
  const { tokens, values, positionals } = parseArgs({
    args: [...args],
    options: { ...options, help: { type: 'boolean', short: 'h' } },
    allowPositionals: true,
    strict: false,
    tokens: true,
  })
  const given = new Set<string>()
  for (const token of tokens) {
    if (token.kind !== 'option') continue
    const option = known[token.name]
    if (!option) {
      const names = Object.keys(known).map((name) => `--${name}`)
      throw new UsageError(`There is no option ${token.rawName}.${didYouMean(token.rawName, names)}`)
    }
    if (given.has(token.name) && !option.multiple) throw new UsageError(`--${token.name} must not stand twice.`)
    given.add(token.name)
    if (option.type === 'boolean' && token.value !== undefined) throw new UsageError(`--${token.name} takes no value.`)
    // What looks like an option is taken for a value only if it stands behind `=`.
    if (option.type === 'string' && (token.value === undefined || (!token.inlineValue && token.value.startsWith('-'))))
      throw new UsageError(`--${token.name} needs a value: --${token.name}=${option.value ?? 'TEXT'}.`)
  }
  if (values.help !== true) checkPositionals(command, positionals)
  return { args: positionals, options: new Options(values) }
}

function checkPositionals({ name, arguments: wanted = [], optional, rest }: Command, given: readonly string[]): void {
  const missing = wanted.slice(given.length)
  if (missing.length > 0) throw new UsageError(`${name} needs ${listOf(missing)}.`)
  const maxCount = wanted.length + (optional === undefined ? 0 : 1)
  if (rest === undefined && given.length > maxCount)
    throw new UsageError(`${name} takes no argument ${given[maxCount]}.`)
}

/** The help of one command. */
export function commandHelp(command: Command): string {
  const options = Object.entries({ ...command.options, ...COMMON_OPTIONS }).map(
    ([name, { value, text }]) => [value === undefined ? `--${name}` : `--${name} ${value}`, text] as const,
  )
  const width = Math.max(...options.map(([left]) => left.length))
  return [
    `Usage: ${usageOf(command)}`,
    '',
    command.summary,
    ...(command.details === undefined ? [] : ['', command.details]),
    '',
    'Options:',
    ...options.map(([left, text]) => `  ${left.padEnd(width)}  ${text}`),
    '',
    'Examples:',
    ...command.examples.map((example) => `  ${example}`),
    '',
  ].join('\n')
}

/** `bursar keys create NAME [options]`. */
function usageOf({ name, arguments: wanted = [], optional, rest, options }: Command): string {
  const further = optional !== undefined ? [`[${optional}]`] : rest !== undefined ? [`[${rest} …]`] : []
  return ['bursar', name, ...wanted, ...further, ...(options ? ['[options]'] : [])].join(' ')
}
