// Every class of units is summed, priced, quoted, stored, read back and reported; and adding one takes no more than the toys show.

import { cpSync, mkdtempSync, readFileSync, rmSync, symlinkSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { fileURLToPath } from 'node:url'
import { afterAll, describe, expect, test } from 'vitest'
import { COMMON_CLASSES, FEE_CLASSES, RARE_CLASSES, TOKEN_CLASSES, USAGE_CLASSES } from '../../src/core/usage.ts'
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
})

let copies = 0
/** A copy of the sources that follow the table, with a diff applied to it. */
function copyWith(diff: string): string {
  const copy = join(folder, `${++copies}`)
  for (const part of ['core', 'prices', 'stores'])
    cpSync(join(ROOT, 'src', part), join(copy, 'src', part), { recursive: true })
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

/** Every way to leave out one change of a diff but the row of the table: an added line, or a line that was put in the place of one. */
function withoutOneLine(diff: string): readonly (readonly [line: string, diff: string])[] {
  const lines = diff.split('\n')
  return lines.flatMap((line, index) => {
    if (!/^\+ /.test(line) || /: (?:tokens|fee)\(/.test(line)) return []
    const replaced = lines[index - 1] ?? ''
    const kept = replaced.startsWith('-') ? [` ${replaced.slice(1)}`] : []
    return [[line.slice(1).trim(), lines.toSpliced(index - kept.length, 1 + kept.length, ...kept).join('\n')] as const]
  })
}

describe.each([
  ['token-class', 'videoInput', 13],
  ['billed-unit', 'pages', 13],
])('the toy %s', (toy, name, count) => {
  const diff = readFileSync(new URL(`./toys/${toy}.diff`, import.meta.url), 'utf8')

  test('is followed everywhere, and keeps the ledger as it is', async () => {
    const sources = await loadSources(copyWith(diff))
    expect(sources.usage.USAGE_CLASSES).toHaveLength(count)
    expect(sources.usage.USAGE_CLASSES).toContain(name)
    expect(sources.usage.COMMON_CLASSES).toEqual(COMMON_CLASSES)
    expect(await forgottenPlaces(sources)).toEqual([])
  })

  test.each(withoutOneLine(diff))('is missed without %j', async (_line, shorter) => {
    const forgotten = await forgottenPlaces(await loadSources(copyWith(shorter)))
    expect(forgotten.filter((place) => place.startsWith(`${name}: `))).not.toEqual([])
  })
})
