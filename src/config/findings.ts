// Findings: what is to be said about a configuration, each with its place. A mistake keeps a configuration from being used; a
// warning does not.

/** Keys and indexes, from the top of bursar.json to a value: `['limits', 'perKey', 'costPerDay']`. */
export type Place = readonly (string | number)[]

export interface Finding {
  readonly place: Place
  /** What is wrong, and what is expected. The text follows the place, and repeats no value that may be a secret. */
  readonly text: string
}

const MAX_SHOWN_CHARACTERS = 128

/** `prices[0].model`, `limits.key:batch`. @param top the name of the whole */
export function placeText(place: Place, top = 'file'): string {
  const text = place.map((part, index) => {
    if (typeof part === 'number') return `[${part}]`
    return index === 0 ? shown(part) : `.${shown(part)}`
  })
  return text.join('') || top
}

/** A name as messages show it: on one line, not too long, and never nothing. */
export function shown(name: string): string {
  const text = name.length > MAX_SHOWN_CHARACTERS ? `${name.slice(0, MAX_SHOWN_CHARACTERS)}…` : name
  return text === '' || /\p{Cc}/u.test(text) ? JSON.stringify(text) : text
}
