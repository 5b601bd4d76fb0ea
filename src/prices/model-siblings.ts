// Model siblings: the listed model whose name is nearest to an unknown one, as a help for the person who looks up its price. No call
// is ever priced by it.

import { familyNames } from './model-names.ts'

/** Words are runs of letters. The version is the first number, in tenths: `gpt-6.2-sol` and `claude-sonnet-5-5` have 62 and 55. */
interface NameParts {
  readonly words: readonly string[]
  readonly version: number
}

/** A model that could be near. */
export interface ListedModel {
  readonly name: string
  /** Of input, in any unit that all have. Of two models as near, the dearer is taken. */
  readonly rate: bigint
}

/** A word that only one of two names has counts as much as a whole version. */
const TENTHS_PER_WORD = 10
const MAX_DISTANCE_TENTHS = 30

/**
 * The nearest of `listed`. Undefined if none begins with the same word and is near enough. Models without a price are not taken.
 *
 * @example
 * nearestSibling('gpt-6.3-sol', [{ name: 'gpt-6-sol', rate: 2n }, { name: 'gpt-6.2-sol', rate: 2n }]) // 'gpt-6.2-sol'
 */
export function nearestSibling(model: string, listed: readonly ListedModel[]): string | undefined {
  const wanted = partsOf(model)
  let nearest: (ListedModel & { readonly distance: number }) | undefined
  for (const { name, rate } of listed) {
    const distance = rate === 0n ? undefined : distanceOf(partsOf(name), wanted)
    if (distance === undefined || distance > MAX_DISTANCE_TENTHS) continue
    if (nearest && (distance > nearest.distance || (distance === nearest.distance && rate <= nearest.rate))) continue
    nearest = { name, rate, distance }
  }
  return nearest?.name
}

function distanceOf(listed: NameParts, wanted: NameParts): number | undefined {
  if (wanted.words[0] === undefined || listed.words[0] !== wanted.words[0]) return undefined
  const common = listed.words.filter((word) => wanted.words.includes(word)).length
  const otherWords = listed.words.length + wanted.words.length - 2 * common
  return otherWords * TENTHS_PER_WORD + Math.abs(listed.version - wanted.version)
}

function partsOf(model: string): NameParts {
  const name = familyNames(model).at(-1) ?? ''
  const [, whole = '0', decimal = '0'] = /(?<!\d)(\d{1,2})(?:[.-](\d))?(?![\d.])/.exec(name) ?? []
  return { words: name.match(/[a-z]+/g) ?? [], version: Number(whole) * 10 + Number(decimal) }
}
