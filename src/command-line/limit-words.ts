// Limit words: limits as they are typed, `costPerDay=5`, to the words of bursar.json. The gateway says what is wrong with them.

import { isRecord, parseObject } from '../core/json-values.ts'
import { UsageError } from './errors.ts'

/** `costPerDay=5` and further ones, as an object. Throws UsageError. */
export function limitsOf(words: readonly string[]): Record<string, unknown> {
  const limits: Record<string, unknown> = {}
  for (const word of words) {
    const [name, value] = splitWord(word, 'costPerDay=5')
    if (Object.hasOwn(limits, name)) throw new UsageError(`${name} must not stand twice.`)
    limits[name] = value
  }
  return limits
}

/** `perUser.costPerDay=5` and further ones, as `limits` of bursar.json. Throws UsageError. */
export function scopedLimitsOf(words: readonly string[]): Record<string, Record<string, unknown>> {
  const limits: Record<string, Record<string, unknown>> = {}
  for (const word of words) {
    const [path, value] = splitWord(word, 'perUser.costPerDay=5')
    // A subject may hold points, and the name of a limit does not.
    const point = path.lastIndexOf('.')
    if (point < 1) throw new UsageError(`${path}: whose limit it is must stand in front, as in perUser.costPerDay=5.`)
    const scope = path.slice(0, point)
    const name = path.slice(point + 1)
    const others = limits[scope]
    if (others && Object.hasOwn(others, name)) throw new UsageError(`${path} must not stand twice.`)
    limits[scope] = { ...others, [name]: value }
  }
  return limits
}

/** The limits of a file: those of a whole bursar.json, or its `limits` alone. Throws UsageError. */
export function limitsIn(text: string, path: string): Readonly<Record<string, unknown>> {
  const value = parseObject(text)
  if (!value)
    throw new UsageError(`${path} must hold a JSON object, as limits of bursar.json: {"perUser": {"costPerDay": 5}}.`)
  return isRecord(value.limits) ? value.limits : value
}

function splitWord(word: string, example: string): readonly [name: string, value: unknown] {
  const equals = word.indexOf('=')
  if (equals < 1 || equals === word.length - 1) throw new UsageError(`${word} must be a limit such as ${example}.`)
  const name = word.slice(0, equals)
  const text = word.slice(equals + 1)
  if (text.startsWith('{')) return [name, parseObject(text) ?? text]
  // Dollars stay text, which keeps every digit.
  const isCost = name.slice(name.lastIndexOf('.') + 1).startsWith('cost')
  const isCount = !isCost && /^\d{1,15}$/.test(text)
  return [name, isCount ? Number(text) : text]
}
