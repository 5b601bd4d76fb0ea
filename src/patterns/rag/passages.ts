// RAG's passages: cuts documents into passages that know their position, and finds quotes in them.

/** A document of the caller. */
export interface SourceDocument {
  readonly id: string
  readonly text: string
}

/** A piece of a document. `start` and `end` are its position in the document, in UTF-16 units. */
export interface Passage {
  /** The document's id. */
  readonly document: string
  readonly start: number
  readonly end: number
  readonly text: string
}

/** A quote with its position in the document, in UTF-16 units. */
export interface Citation {
  readonly document: string
  readonly start: number
  readonly end: number
  /** The quote as the document spells it. */
  readonly quote: string
}

const MAX_PASSAGE_CHARACTERS = 1_200
/** A passage ends at the best place after this many characters. */
const MIN_PASSAGE_CHARACTERS = 600
/** The places where a passage can end, the best first: after a paragraph, a line, a sentence, a word. */
const PASSAGE_ENDS = ['\n\n', '\n', '. ', ' ']

/** Cuts the documents into passages without gaps or overlaps. Passages without a letter or a digit are left out. */
export function passagesOf(documents: readonly SourceDocument[]): Passage[] {
  return documents.flatMap(({ id, text }) => {
    const passages: Passage[] = []
    for (let start = 0; start < text.length; ) {
      const end = endOf(text, start)
      const piece = text.slice(start, end)
      if (/[\p{L}\p{N}]/u.test(piece)) passages.push({ document: id, start, end, text: piece })
      start = end
    }
    return passages
  })
}

function endOf(text: string, start: number): number {
  const limit = start + MAX_PASSAGE_CHARACTERS
  if (limit >= text.length) return text.length
  const piece = text.slice(start, limit)
  for (const mark of PASSAGE_ENDS) {
    const index = piece.lastIndexOf(mark)
    if (index + mark.length > MIN_PASSAGE_CHARACTERS) return start + index + mark.length
  }
  return isHighSurrogate(text.charCodeAt(limit - 1)) ? limit - 1 : limit
}

function isHighSurrogate(code: number): boolean {
  return code >= 0xd800 && code <= 0xdbff
}

/**
 * Finds a quote in a passage: one citation, or none if the passage does not contain it. An exact match wins. Otherwise white
 * space, quotation marks and dashes may differ.
 */
export function findQuote(quote: string, { document, start, text }: Passage): Citation[] {
  const trimmed = quote.trim()
  if (trimmed === '' || quote.length > 2 * MAX_PASSAGE_CHARACTERS) return []
  const exactIndex = text.indexOf(trimmed)
  const [from, to] = exactIndex === -1 ? findLoosely(trimmed, text) : [exactIndex, exactIndex + trimmed.length]
  if (from === undefined || to === undefined) return []
  return [{ document, start: start + from, end: start + to, quote: text.slice(from, to) }]
}

function findLoosely(quote: string, text: string): [from?: number, to?: number] {
  const normalized = normalizeText(quote).letters
  const { letters, places } = normalizeText(text)
  const index = letters.indexOf(normalized)
  const from = places[index]
  const last = places[index + normalized.length - 1]
  return from === undefined || last === undefined ? [] : [from, last + 1]
}

/** A text with single spaces, plain quotation marks and plain dashes, and the original index of each of its characters. */
function normalizeText(text: string): { readonly letters: string; readonly places: readonly number[] } {
  let letters = ''
  const places: number[] = []
  for (let index = 0; index < text.length; index++) {
    const letter = PLAIN_CHARACTERS.get(text.charAt(index)) ?? text.charAt(index)
    const isSpace = /\s/.test(letter)
    if (isSpace && letters.endsWith(' ')) continue
    letters += isSpace ? ' ' : letter
    places.push(index)
  }
  return { letters, places }
}

const PLAIN_CHARACTERS = new Map(
  [
    ['\u2018\u2019\u201a\u2032', "'"],
    ['\u201c\u201d\u201e\u2033', '"'],
    ['\u2010\u2011\u2012\u2013\u2014', '-'],
  ].flatMap(([variants = '', plain = '']) => [...variants].map((letter): [string, string] => [letter, plain])),
)
