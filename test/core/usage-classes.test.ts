// Every class of units is summed, priced, quoted, stored, read back, rolled up and reported; and adding one is one row.

import { cpSync, mkdtempSync, readFileSync, rmSync, symlinkSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { fileURLToPath } from 'node:url'
import { afterAll, describe, expect, test } from 'vitest'
import {
  CLASS_ROWS,
  COMMON_CLASSES,
  FEE_CLASSES,
  RARE_CLASSES,
  TOKEN_CLASSES,
  USAGE_CLASSES,
} from '../../src/core/usage.ts'
import { forgottenPlaces, loadSources } from './usage-places.ts'

const ROOT = fileURLToPath(new URL('../../', import.meta.url))
const folder = mkdtempSync(join(tmpdir(), 'bursar-toys-'))
afterAll(() => rmSync(folder, { recursive: true }))

test('every class is followed everywhere', async () => {
  expect(await forgottenPlaces(await loadSources(join(ROOT, 'src')))).toEqual([])
})

test('classes are tokens or not, and common or not', () => {
  expect([...TOKEN_CLASSES, ...FEE_CLASSES]).toEqual(USAGE_CLASSES)
  expect([...COMMON_CLASSES, ...RARE_CLASSES].toSorted()).toEqual(USAGE_CLASSES.toSorted())
  expect(COMMON_CLASSES).toEqual(USAGE_CLASSES.filter((name) => CLASS_ROWS[name].isCommon))
})

let copies = 0
/** A copy of the sources with a diff applied to it. */
function copyWith(diff: string): string {
  const copy = join(folder, `${++copies}`)
  cpSync(join(ROOT, 'src'), join(copy, 'src'), { recursive: true })
  symlinkSync(join(ROOT, 'node_modules'), join(copy, 'node_modules'))
  for (const [path, hunks] of hunksByFile(diff)) {
    const file = join(copy, path)
    writeFileSync(file, hunks.reduce(applyHunk, readFileSync(file, 'utf8')))
  }
  return join(copy, 'src')
}

function hunksByFile(diff: string): ReadonlyMap<string, readonly string[]> {
  const files = diff.split(/^--- .*\n\+\+\+ /m).slice(1)
  return new Map(
    files.map((file) => {
      const [path = '', ...hunks] = file.split(/\n@@\n/)
      return [path, hunks]
    }),
  )
}

function applyHunk(text: string, hunk: string): string {
  const lines = hunk.trimEnd().split('\n')
  const side = (without: string) => lines.filter((line) => line[0] !== without).map((line) => `${line.slice(1)}\n`)
  const before = side('+').join('')
  expect(text.split(before), `the diff no longer fits:\n${before}`).toHaveLength(2)
  return text.replace(before, () => side('-').join(''))
}

const QUOTE_FILE = 'src/core/quote.ts'

/** The added lines of a diff, by file. */
function addedLines(diff: string): Record<string, number> {
  const files = [...hunksByFile(diff)]
  return Object.fromEntries(files.map(([path, hunks]) => [path, hunks.join('\n').match(/^\+/gm)?.length ?? 0]))
}

/** The diff without its part for one file. */
function withoutFile(diff: string, path: string): string {
  return diff.replace(new RegExp(`^--- ${path}\\n[^]*?(?=^--- |$(?![^]))`, 'm'), '')
}

/**
 * A toy is one row of the table, and one line of the quote. No row can give that line: which requests may use a class depends on
 * facts that dialects read from bodies, and a unit that is no token also needs its largest number. Were every rare class assumed of
 * every request, each call would be quoted at the dearest rate of its model, and calls that fit their budget would be refused.
 */
describe.each([
  ['token-class', 'videoInput', 25],
  ['billed-unit', 'pages', 25],
])('the toy %s', (toy, name, count) => {
  const diff = readFileSync(new URL(`./toys/${toy}.diff`, import.meta.url), 'utf8')

  test('is followed everywhere, and keeps the ledger as it is', async () => {
    const sources = await loadSources(copyWith(diff))
    expect(sources.usage.USAGE_CLASSES).toHaveLength(count)
    expect(sources.usage.USAGE_CLASSES).toContain(name)
    expect(sources.usage.COMMON_CLASSES).toEqual(COMMON_CLASSES)
    expect(await forgottenPlaces(sources)).toEqual([])
  })

  test('is one row, which only the quote does not follow', async () => {
    expect(addedLines(diff)).toEqual({ [QUOTE_FILE]: 1, 'src/core/usage.ts': 1 })
    const row = withoutFile(diff, QUOTE_FILE)
    expect(addedLines(row)).toEqual({ 'src/core/usage.ts': 1 })
    expect(await forgottenPlaces(await loadSources(copyWith(row)))).toEqual([`${name}: quote`])
  })
})
