// Wait times: the ways in which providers write how long to wait, and other numbers of their rate limits.

/** Larger numbers name a moment, not a time to wait. */
const MIN_EPOCH_S = 1_000_000_000
const MIN_EPOCH_MS = 1_000_000_000_000
const LOWER_A = 0x61
const LOWER_Z = 0x7a
const MICRO = 0xb5
const DIGIT_0 = 0x30
const DIGIT_9 = 0x39
const DOT = 0x2e

/** The position after the digits and dots that start at `from`. */
function endOfNumber(text: string, from: number): number {
  let position = from
  for (; position < text.length; position++) {
    const code = text.charCodeAt(position)
    if ((code < DIGIT_0 || code > DIGIT_9) && code !== DOT) break
  }
  return position
}

/** Null for anything but a number, below zero (`-1` means not limited), or beyond what is exact. */
export function parseNumber(value: string): number | null {
  if (endOfNumber(value, 0) !== value.length) return null
  const number = Number(value)
  return Number.isFinite(number) && number <= Number.MAX_SAFE_INTEGER ? number : null
}

/**
 * How long to wait, in milliseconds, from a Go duration (`6m0s`, `120ms`), seconds, a time in epoch seconds or milliseconds, or
 * a date. Null for anything else.
 * @param wallMs now, epoch milliseconds
 */
export function parseWaitMs(value: string, wallMs: number): number | null {
  const number = parseNumber(value)
  if (number !== null) {
    if (number < MIN_EPOCH_S) return number * 1_000
    return Math.max(0, (number < MIN_EPOCH_MS ? number * 1_000 : number) - wallMs)
  }
  const duration = parseDurationMs(value)
  if (duration !== null) return duration
  // An RFC 3339 time, or the date of HTTP: `Sun, 22 Nov 2026 12:00:00 GMT`.
  const timeMs = value[4] === '-' || value[3] === ',' ? Date.parse(value) : Number.NaN
  return Number.isNaN(timeMs) ? null : Math.max(0, timeMs - wallMs)
}

const UNIT_MS = new Map(
  Object.entries({ ns: 1e-6, us: 1e-3, µs: 1e-3, ms: 1, s: 1_000, m: 60_000, h: 3_600_000, d: 86_400_000 }).concat(
    Object.entries({ second: 1_000, minute: 60_000, hour: 3_600_000, day: 86_400_000 }).flatMap(([name, ms]) => [
      [name, ms],
      [`${name}s`, ms],
    ]),
  ),
)

/** `1m30s`, `5.289s`, or `20 seconds`, in milliseconds. Null unless the text is a duration or, if it is a sentence, begins with one. */
export function parseDurationMs(text: string, isSentence = false): number | null {
  let ms: number | null = null
  for (let position = 0; position < text.length; ) {
    const unitAt = endOfNumber(text, position)
    let from = unitAt
    if (isSentence && text[from] === ' ') from++
    let end = from
    while (isLetter(text.charCodeAt(end))) end++
    const unitMs = UNIT_MS.get(text.slice(from, end))
    const number = unitAt === position ? Number.NaN : Number(text.slice(position, unitAt))
    if (unitMs === undefined || Number.isNaN(number)) return isSentence ? ms : null
    ms = (ms ?? 0) + number * unitMs
    position = end
  }
  return ms !== null && ms <= Number.MAX_SAFE_INTEGER ? ms : null
}

/** True for the letters of units. */
function isLetter(code: number): boolean {
  return (code >= LOWER_A && code <= LOWER_Z) || code === MICRO
}
