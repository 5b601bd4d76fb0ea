// Env file: what is wrong with the text of .env itself. The values are read elsewhere. No finding repeats a line, which may hold a
// secret.

import { SETTINGS } from './settings.ts'

/** dotenv reads `NAME: value`, too. */
const ASSIGNMENT = /^\s*(?:export\s+)?([\w.-]+)(?:\s*=|:\s)\s*(.*)$/
const BLANK = /^\s*(?:#.*)?$/

export interface EnvFileFindings {
  readonly mistakes: readonly string[]
  readonly warnings: readonly string[]
}

/** Settings that stand twice, and lines that set nothing. @param name of the file */
export function checkEnvFile(text: string, name: string): EnvFileFindings {
  const mistakes: string[] = []
  const warnings: string[] = []
  const lineBySetting = new Map<string, number>()
  let openQuote = ''
  const lines = text.replace(/^\uFEFF/, '').split(/\r\n|\r|\n/)
  for (const [index, line] of lines.entries()) {
    if (openQuote !== '') {
      if (line.includes(openQuote)) openQuote = ''
      continue
    }
    const [, variable, value = ''] = ASSIGNMENT.exec(line) ?? []
    const place = `${name}:${index + 1}`
    if (variable === undefined) {
      if (!BLANK.test(line)) warnings.push(`${place}: must be NAME=value. The line sets nothing`)
      continue
    }
    const first = lineBySetting.get(variable)
    if (first === undefined) lineBySetting.set(variable, index + 1)
    else if (Object.hasOwn(SETTINGS, variable))
      mistakes.push(`${place}: ${variable}: must not stand twice. It is in line ${first} already`)
    const [quote = ''] = /^["'`]/.exec(value) ?? []
    const isOpen = quote !== '' && !value.slice(1).includes(quote)
    if (isOpen && lines.slice(index + 1).some((later) => later.includes(quote))) openQuote = quote
  }
  return { mistakes, warnings }
}
