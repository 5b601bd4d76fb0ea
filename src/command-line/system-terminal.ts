// System terminal: standard output for long output, and progress on standard error.

import type { Terminal } from './command.ts'
import { CommandError } from './errors.ts'

const PROGRESS_INTERVAL_MS = 200
const CLEAR_LINE = '\r\u001b[K'

let shown = ''
let latest = ''
let timer: NodeJS.Timeout | undefined

function showLatest(): void {
  timer = undefined
  if (latest === shown) return
  process.stderr.write(CLEAR_LINE + latest)
  shown = latest
  if (latest !== '') timer = setTimeout(showLatest, PROGRESS_INTERVAL_MS).unref()
}

export const systemTerminal: Terminal = {
  output: {
    write: (chunk) =>
      new Promise((resolve, reject) => {
        const fail = (error: Error) => reject(new CommandError(`Standard output takes no more: ${error.message}.`))
        process.stdout.once('error', fail)
        process.stdout.write(chunk, (error) => {
          process.stdout.off('error', fail)
          if (error) fail(error)
          else resolve()
        })
      }),
  },
  progress(text) {
    if (!process.stderr.isTTY) return
    latest = text
    if (text === '') clearTimeout(timer)
    if (text === '' || timer === undefined) showLatest()
  },
}
