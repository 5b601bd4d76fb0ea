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
        // The error of a write is also an event, which would end the process.
        if (process.stdout.listenerCount('error') === 0) process.stdout.on('error', () => {})
        process.stdout.write(chunk, (error) => {
          if (error) reject(new CommandError(`Standard output takes no more: ${error.message}.`))
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
