// Nearest name: which of the names that exist somebody probably meant by a name that does not. A help for people: nothing is
// looked up by it.

/** Longer names are compared by nobody's eye, and would take long to compare here. */
const MAX_CHARACTERS = 128
const CHARACTERS_PER_MISTAKE = 4
const MAX_MISTAKES = 3
const MIN_COMMON_SHARE = 0.7

/**
 * The name with the fewest mistakes: letters that are missing, added, wrong or swapped. Case, and the signs between words, are no
 * mistakes. Undefined if every name has more than one mistake for four letters.
 *
 * @example
 * nearestName('opnai', ['anthropic', 'openai']) // 'openai'
 */
export function nearestName(name: string, names: Iterable<string>): string | undefined {
  const wanted = bareName(name)
  let fewest = Math.min(MAX_MISTAKES, Math.max(1, Math.floor(wanted.length / CHARACTERS_PER_MISTAKE))) + 1
  let nearest: string | undefined
  if (wanted === '' || wanted.length > MAX_CHARACTERS) return undefined
  for (const candidate of names) {
    const bare = bareName(candidate)
    if (candidate === name || Math.abs(bare.length - wanted.length) >= fewest) continue
    const mistakes = mistakesBetween(wanted, bare)
    if (mistakes >= fewest) continue
    fewest = mistakes
    nearest = candidate
  }
  return nearest
}

/**
 * The name that has the longest beginning in common, for names made of few words. Undefined if every beginning is too short.
 *
 * @example
 * namesakeOf('costPerWeek', ['costPerDay', 'inFlight']) // 'costPerDay'
 */
export function namesakeOf(name: string, names: Iterable<string>): string | undefined {
  let longest = 0
  let found: string | undefined
  for (const candidate of names) {
    let length = 0
    while (length < name.length && name[length] === candidate[length]) length += 1
    if (length <= longest || length < MIN_COMMON_SHARE * Math.min(name.length, candidate.length)) continue
    longest = length
    found = candidate
  }
  return found
}

/** `Did you mean openai?` after a blank, or nothing. */
export function didYouMean(name: string, names: Iterable<string>): string {
  const nearest = nearestName(name, names)
  return nearest === undefined ? '' : ` Did you mean ${nearest}?`
}

function bareName(name: string): string {
  return name.toLowerCase().replace(/[-_. ]/g, '')
}

/** The distance of Damerau and Levenshtein, in which a swap of two neighbours counts once. */
function mistakesBetween(left: string, right: string): number {
  let beforeLast: readonly number[] = []
  let last: readonly number[] = Array.from({ length: right.length + 1 }, (_, index) => index)
  for (let row = 1; row <= left.length; row++) {
    const next = [row]
    for (let column = 1; column <= right.length; column++) {
      const isSame = left[row - 1] === right[column - 1]
      const isSwap = row > 1 && column > 1 && left[row - 1] === right[column - 2] && left[row - 2] === right[column - 1]
      next[column] = Math.min(
        at(last, column) + 1,
        at(next, column - 1) + 1,
        at(last, column - 1) + (isSame ? 0 : 1),
        isSwap ? at(beforeLast, column - 2) + 1 : Number.POSITIVE_INFINITY,
      )
    }
    beforeLast = last
    last = next
  }
  return at(last, right.length)
}

function at(row: readonly number[], column: number): number {
  return row[column] ?? Number.POSITIVE_INFINITY
}
