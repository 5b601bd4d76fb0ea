// Command line: what the process is started to do.

import { didYouMean } from '../core/nearest-name.ts'

const OPTIONS = ['--check', '--help'] as const

export type Command = 'serve' | 'check' | 'help'

export const HELP = `Usage: npx node src/main.ts [--check | --help]

Without an option, it serves, with the settings of the environment and of .env, and with bursar.json.

  --check   Reads the settings and bursar.json, prints the limits, routes and providers that they make, and stops. It opens no
            port and no ledger, and sends nothing. The exit code is 1 if there is a mistake or a warning.
  --help    Prints this text.

.env.example lists the settings. docs/limits.md, docs/routing.md and docs/providers.md describe bursar.json.
`

/** The command, or what is wrong with the arguments. */
export function readCommandLine(args: readonly string[]): { readonly command: Command } | { readonly mistake: string } {
  const unknown = args.find((argument) => argument !== '-h' && !OPTIONS.some((option) => option === argument))
  if (unknown !== undefined) {
    const advice = didYouMean(unknown, OPTIONS)
    return { mistake: `Unknown argument: ${unknown}.${advice} The options are ${OPTIONS.join(' and ')}.` }
  }
  if (args.includes('--help') || args.includes('-h')) return { command: 'help' }
  return { command: args.includes('--check') ? 'check' : 'serve' }
}
