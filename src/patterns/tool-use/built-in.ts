// Built-in tools of the pattern tool use: calculator, time, units, JSON and text. None reaches a shell, the network or a file.

import { convert, getMeasureKind, type Unit } from 'convert'
import { z } from 'zod'
import type { JsonObject } from '../../core/chat.ts'
import { issueOf, schemaOf } from '../pattern/pattern.ts'
import { calculate } from './calculator.ts'
import { queryJson } from './json.ts'

/** A tool's output. `failed` says what went wrong; absent if the tool succeeded. */
export interface ToolOutput {
  readonly answered: string
  readonly failed?: string
}

/** A tool that runs in this process. It never throws. */
export interface BuiltInTool {
  readonly description: string
  /** JSON Schema of the arguments. */
  readonly schema: JsonObject
  /** @param nowMs wall clock, in milliseconds */
  run(args: JsonObject, nowMs: number): ToolOutput
}

const MAX_TEXT_CHARACTERS = 100_000

/** All built-in tools, by name. */
export const BUILT_IN_TOOLS: Readonly<Record<string, BuiltInTool>> = {
  calculator: defineTool(
    'Calculates. Knows + - * / % ^, parentheses, pi, e, tau, and abs, ceil, cos, exp, floor, ln, log10, log2, max, min, pow, round, sign, sin, sqrt, tan, trunc.',
    z.object({ expression: z.string().max(1_000).describe('An arithmetic expression, such as (2 + 3) * sqrt(16).') }),
    ({ expression }) => String(calculate(expression)),
  ),
  current_time: defineTool(
    'Tells the current date and time.',
    z.object({ time_zone: z.string().max(64).describe('A time zone of the IANA list, such as Europe/Berlin or UTC.') }),
    ({ time_zone }, nowMs) => timeIn(time_zone === '' ? 'UTC' : time_zone, nowMs),
  ),
  convert_units: defineTool(
    'Converts between units of length, mass, volume, area, time, temperature, data, energy, force, power, pressure, angle.',
    z.object({
      value: z.number().describe('How many of the unit.'),
      from: z.string().max(64).describe('The unit it is in, such as km.'),
      to: z.string().max(64).describe('The unit it is wanted in, such as miles.'),
    }),
    ({ value, from, to }) => `${value} ${from} = ${convertUnits(value, from, to)} ${to}`,
  ),
  json_query: defineTool(
    'Finds values in JSON by a JSONPath (RFC 9535).',
    z.object({
      json: z.string().max(20_000).describe('The JSON text.'),
      path: z.string().max(200).describe('A JSONPath, such as $.items[?@.price < 10].name.'),
    }),
    ({ json, path }) => queryJson(json, path),
  ),
  text_statistics: defineTool(
    'Counts characters, words, sentences, lines and paragraphs of a text.',
    z.object({ text: z.string().max(MAX_TEXT_CHARACTERS).describe('The text.') }),
    ({ text }) => JSON.stringify(statisticsOf(text)),
  ),
}

function defineTool<Shape extends z.ZodType>(
  description: string,
  shape: Shape,
  compute: (args: z.output<Shape>, nowMs: number) => string,
): BuiltInTool {
  return {
    description,
    schema: schemaOf(shape),
    run: (args, nowMs) => {
      const read = shape.safeParse(args)
      if (!read.success) return failure(issueOf(read.error).text)
      try {
        return { answered: compute(read.data, nowMs) }
      } catch (error) {
        return failure(error instanceof Error ? error.message : 'the tool failed')
      }
    },
  }
}

function failure(problem: string): ToolOutput {
  return { answered: `Failed: ${problem}`, failed: problem }
}

function timeIn(timeZone: string, nowMs: number): string {
  const parts = new Intl.DateTimeFormat('en-US', { timeZone, dateStyle: 'full', timeStyle: 'long' }).format(nowMs)
  return `${parts} (${new Date(nowMs).toISOString()})`
}

/** Rounds to twelve digits: more would show the errors of binary fractions. */
function convertUnits(value: number, from: string, to: string): number {
  const [source, target] = [from.trim(), to.trim()]
  if (!isUnit(source)) throw new Error(`from: the unit ${source} is unknown`)
  if (!isUnit(target)) throw new Error(`to: the unit ${target} is unknown`)
  const result = convert(value, source).to(target)
  if (!Number.isFinite(result)) throw new Error('the value is too large')
  return Number(result.toPrecision(12))
}

function isUnit(text: string): text is Unit {
  return getMeasureKind(text) !== undefined
}

function statisticsOf(text: string) {
  const words = text.match(/[\p{L}\p{N}]+(?:['’-][\p{L}\p{N}]+)*/gu) ?? []
  const letters = words.reduce((sum, word) => sum + word.length, 0)
  return {
    characters: [...text].length,
    words: words.length,
    distinct_words: new Set(words.map((word) => word.toLowerCase())).size,
    sentences: text.split(/[.!?…。]+/).filter((piece) => /[\p{L}\p{N}]/u.test(piece)).length,
    lines: text === '' ? 0 : text.split('\n').length,
    paragraphs: text.split(/\n\s*\n/).filter((piece) => piece.trim() !== '').length,
    average_word_length: words.length === 0 ? 0 : Number((letters / words.length).toFixed(2)),
  }
}
