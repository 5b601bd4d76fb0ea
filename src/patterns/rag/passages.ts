// RAG's passages: pieces of documents that know where they stand, and quotes found in them.

export interface SourceDocument {
  readonly id: string
  readonly text: string
}

/** `text` is the document's from `start` to `end`, counted in UTF-16 units. */
export interface Passage {
  /** The document's id. */
  readonly document: string
  readonly start: number
  readonly end: number
  readonly text: string
}

export interface Citation {
  readonly document: string
  readonly start: number
  readonly end: number
  /** As it stands in the document. */
  readonly quote: string
}

const MAX_PASSAGE_CHARACTERS = 1_200
/** A passage ends no earlier than this where it can end well. */
const MIN_PASSAGE_CHARACTERS = 600
/** Where to end, the best first: a paragraph, a line, a sentence, a word. */
const PASSAGE_ENDS = ['\n\n', '\n', '. ', ' ']

/** The documents in pieces that follow each other without a gap; those without a letter are left out. */
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
  const most = start + MAX_PASSAGE_CHARACTERS
  if (most >= text.length) return text.length
  const piece = text.slice(start, most)
  for (const mark of PASSAGE_ENDS) {
    const at = piece.lastIndexOf(mark)
    if (at + mark.length > MIN_PASSAGE_CHARACTERS) return start + at + mark.length
  }
  return isHighSurrogate(text.charCodeAt(most - 1)) ? most - 1 : most
}

function isHighSurrogate(code: number): boolean {
  return code >= 0xd800 && code <= 0xdbff
}

/**
 * The quote's place in the document: one citation, or none where it is not there. Spaces and kinds of
 * quotes may differ; a place where they do not comes first.
 */
export function findQuote(quote: string, { document, start, text }: Passage): Citation[] {
  const wanted = quote.trim()
  if (wanted === '' || quote.length > 2 * MAX_PASSAGE_CHARACTERS) return []
  const exactly = text.indexOf(wanted)
  const [from, to] = exactly === -1 ? findLoosely(wanted, text) : [exactly, exactly + wanted.length]
  if (from === undefined || to === undefined) return []
  return [{ document, start: start + from, end: start + to, quote: text.slice(from, to) }]
}

function findLoosely(quote: string, text: string): [from?: number, to?: number] {
  const wanted = normalizeText(quote).letters
  const { letters, places } = normalizeText(text)
  const at = letters.indexOf(wanted)
  const from = places[at]
  const last = places[at + wanted.length - 1]
  return from === undefined || last === undefined ? [] : [from, last + 1]
}

/** A text with one space for any white space and plain quotes, and where each letter of it stood. */
function normalizeText(text: string): { readonly letters: string; readonly places: readonly number[] } {
  let letters = ''
  const places: number[] = []
  for (let at = 0; at < text.length; at++) {
    const letter = PLAIN_CHARACTERS.get(text.charAt(at)) ?? text.charAt(at)
    const isSpace = /\s/.test(letter)
    if (isSpace && letters.endsWith(' ')) continue
    letters += isSpace ? ' ' : letter
    places.push(at)
  }
  return { letters, places }
}

const PLAIN_CHARACTERS = new Map(
  [
    ['\u2018\u2019\u201a\u2032', "'"],
    ['\u201c\u201d\u201e\u2033', '"'],
    ['\u2010\u2011\u2012\u2013\u2014', '-'],
  ].flatMap(([many = '', one = '']) => [...many].map((letter): [string, string] => [letter, one])),
)
