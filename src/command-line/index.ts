// Command line: every command of `bursar`, the help, and how a command runs. Commands know the gateway by its HTTP alone.

import { didYouMean } from '../core/nearest-name.ts'
import { ALERT_COMMANDS } from './alerts.ts'
import { BACKTEST } from './backtest.ts'
import { type GatewayAccess, GatewayClient } from './client.ts'
import { type Command, commandHelp, type Files, readArguments, type Terminal } from './command.ts'
import { CommandError, UsageError } from './errors.ts'
import { ESTIMATE } from './estimate.ts'
import { EXPLAIN } from './explain.ts'
import { EXPORT } from './export.ts'
import { KEY_COMMANDS } from './keys.ts'
import { LIMIT_COMMANDS } from './limits.ts'
import { USAGE } from './usage.ts'

/** Every command that talks to the gateway that runs. */
const COMMANDS: readonly Command[] = [
  ...KEY_COMMANDS,
  ...LIMIT_COMMANDS,
  ...ALERT_COMMANDS,
  USAGE,
  EXPORT,
  BACKTEST,
  EXPLAIN,
  ESTIMATE,
]

/** What the arguments of the process ask for. `serve` and `check` are the process's own; `print` is a text to print. */
export type Request =
  | { readonly kind: 'serve' | 'check' }
  | { readonly kind: 'print'; readonly text: string }
  | CommandRequest
  | { readonly kind: 'mistake'; readonly message: string }

export interface CommandRequest {
  readonly kind: 'command'
  readonly command: Command
  readonly args: readonly string[]
}

/** What commands use of the process. */
export interface Surroundings extends GatewayAccess {
  readonly files: Files
  readonly terminal: Terminal
  /** Epoch milliseconds. */
  readonly nowMs: number
}

/** What a command wrote, and the exit code: 1 if it failed, 2 if its arguments make no sense. */
export interface CommandResult {
  readonly stdout: string
  readonly stderr: string
  readonly exitCode: 0 | 1 | 2
}

const HELP_NAMES = ['help', '--help', '-h']

/** @param args what stands behind `bursar` */
export function readRequest(args: readonly string[]): Request {
  const [first, second] = args
  if (first === undefined) return { kind: 'serve' }
  if (HELP_NAMES.includes(first))
    return args.length === 1 ? { kind: 'print', text: helpText() } : readHelp(args.slice(1))
  if (first === '--check' || first === 'check') {
    if (second === undefined) return { kind: 'check' }
    if (args.length === 2 && HELP_NAMES.includes(second)) return { kind: 'print', text: CHECK_HELP }
    return { kind: 'mistake', message: `${first} takes no argument ${second}.` }
  }
  const command = COMMANDS.find(({ name }) => name === first || name === `${first} ${second}`)
  if (command) return { kind: 'command', command, args: args.slice(command.name.split(' ').length) }
  const group = COMMANDS.filter(({ name }) => name.startsWith(`${first} `))
  if (group.length === 0) return { kind: 'mistake', message: unknownText(first) }
  if (second === undefined || HELP_NAMES.includes(second)) return { kind: 'print', text: groupHelp(group) }
  const names = group.map(({ name }) => name.slice(first.length + 1))
  return { kind: 'mistake', message: `There is no command ${first} ${second}.${didYouMean(second, names)} ${SEE_HELP}` }
}

/** `bursar help keys create` is `bursar keys create --help`. */
function readHelp(names: readonly string[]): Request {
  return readRequest([...names.filter((name) => !HELP_NAMES.includes(name)), '--help'])
}

/** Never rejects for what the user or the gateway did. */
export async function runCommand(
  command: Command,
  args: readonly string[],
  surroundings: Surroundings,
): Promise<CommandResult> {
  try {
    const read = readArguments(command, args)
    if (read.options.has('help')) return { stdout: commandHelp(command), stderr: '', exitCode: 0 }
    const client = new GatewayClient(surroundings)
    const { files, terminal, nowMs } = surroundings
    const { json, text, note, failure } = await command.run({ ...read, client, files, terminal, nowMs })
    if (note !== undefined) return { stdout: '', stderr: note, exitCode: 0 }
    const answer = read.options.has('json') ? `${json.trimEnd()}\n` : undefined
    if (failure !== undefined) return { stdout: answer ?? '', stderr: failure, exitCode: 1 }
    return { stdout: answer ?? text, stderr: '', exitCode: 0 }
  } catch (error) {
    if (error instanceof UsageError)
      return { stdout: '', stderr: `${error.message} See: bursar ${command.name} --help\n`, exitCode: 2 }
    if (error instanceof CommandError) return { stdout: '', stderr: `${error.message}\n`, exitCode: 1 }
    throw error
  }
}

const SEE_HELP = 'See: bursar --help'

const CHECK_HELP = `Usage: bursar check

Reads the settings and bursar.json, prints the limits, routes and providers that they make, and stops. It opens no port and no
ledger, and sends nothing. The exit code is 1 if there is a mistake or a warning.

Example:
  bursar check
`

function unknownText(name: string): string {
  if (name.startsWith('-')) return `There is no option ${name}.${didYouMean(name, ['--check', '--help'])} ${SEE_HELP}`
  const names = new Set(COMMANDS.map((command) => command.name.split(' ')[0] ?? ''))
  return `There is no command ${name}.${didYouMean(name, [...names, 'check', 'help'])} ${SEE_HELP}`
}

function groupHelp(commands: readonly Command[]): string {
  return `${commandLines(commands)}\nSee: bursar ${commands[0]?.name} --help\n`
}

function commandLines(commands: readonly Pick<Command, 'name' | 'summary'>[]): string {
  const width = Math.max(...commands.map(({ name }) => name.length))
  return commands.map(({ name, summary }) => `  bursar ${name.padEnd(width)}  ${summary}\n`).join('')
}

function helpText(): string {
  const own = [
    { name: '', summary: 'Serves, with the settings of the environment and of .env, and with bursar.json.' },
    { name: 'check', summary: 'Prints what settings and bursar.json make, with all mistakes and warnings, and stops.' },
  ]
  return `The LLM gateway that cannot overspend.

${commandLines([...own, ...COMMANDS])}
Each command has --help, with examples, and --json, for programs. All but the first two talk to the gateway that runs:

  BURSAR_URL         where it is. Without it: http://127.0.0.1:5555
  BURSAR_ADMIN_KEY   the ADMIN_KEY that it was started with
  BURSAR_CALLER_KEY  a key that makes calls, for estimate; without an admin key, for its own figures

The exit code is 1 if a command fails, and 2 if its arguments make no sense.
.env.example lists the settings. docs/command-line.md describes the commands, and docs/limits.md the names of limits.
`
}
