// The simulated provider's reading of text: blocks between tags, the sentence nearest to a question, words that a text lacks.

/** No more of a text is read. */
const MAX_CHARACTERS = 200_000
const MAX_BLOCKS = 50
const OPENING_TAG = /<([a-z][a-z0-9_-]{0,40})(?: [^<>\n]{0,200})?>\n/g

interface Block {
  readonly start: number
  readonly end: number
  readonly text: string
}

/** Texts between `<name>` and `</name>`, with the tags on lines of their own. */
export function blocksIn(text: string): string[] {
  return findBlocks(text).map((block) => block.text)
}

/** The text outside all blocks. */
export function outsideBlocks(text: string): string {
  const pieces: string[] = []
  let position = 0
  for (const { start, end } of findBlocks(text)) {
    pieces.push(text.slice(position, start))
    position = end
  }
  return [...pieces, text.slice(position, MAX_CHARACTERS)].join(' ').trim()
}

function findBlocks(whole: string): Block[] {
  const text = whole.slice(0, MAX_CHARACTERS)
  const found: Block[] = []
  OPENING_TAG.lastIndex = 0
  for (let tries = 0; tries < MAX_BLOCKS; tries++) {
    const opened = OPENING_TAG.exec(text)
    if (opened === null) break
    const close = `\n</${opened[1]}>`
    const end = text.indexOf(close, OPENING_TAG.lastIndex - 1)
    if (end < 0) continue
    found.push({ start: opened.index, end: end + close.length, text: text.slice(OPENING_TAG.lastIndex, end) })
    OPENING_TAG.lastIndex = end + close.length
  }
  return found
}

/** The sentence that shares the most words with the question, unchanged. */
export function nearestSentence(question: string, text: string): string {
  const wanted = new Set(wordsOf(question))
  const sentences = (text.slice(0, MAX_CHARACTERS).match(/[^.!?\n]+[.!?]?/g) ?? []).map((sentence) => sentence.trim())
  let best = ''
  let maxShared = -1
  for (const sentence of sentences) {
    const shared = wordsOf(sentence).filter((word) => wanted.has(word)).length
    if (sentence === '' || shared <= maxShared) continue
    best = sentence
    maxShared = shared
  }
  return best
}

/** The share of a topic's words that a text has, from 0 to 1. */
export function topicCoverage(topic: string, text: string): number {
  const wanted = new Set(wordsOf(topic))
  const held = new Set(wordsOf(text))
  return wanted.size === 0 ? 1 : [...wanted].filter((word) => held.has(word)).length / wanted.size
}

/** The words of list items (`- …`) that a text lacks, in their order. */
export function missingWords(text: string, list: string): string {
  const held = new Set(wordsOf(text))
  const items = list.split('\n').filter((line) => line.trimStart().startsWith('- '))
  return [...new Set(wordsOf(items.join('\n')))].filter((word) => !held.has(word)).join(' ')
}

/** The first piece of arithmetic that has an operator. */
export function expressionIn(text: string): string | undefined {
  const pieces = text.slice(0, MAX_CHARACTERS).match(/[\d(][\d\s.+*/%^()-]{0,200}/g) ?? []
  return pieces.map((piece) => piece.replace(/[\s.+*/%^(-]+$/, '').trim()).find(isExpression)
}

function isExpression(text: string): boolean {
  const count = (mark: string) => text.split(mark).length - 1
  return /\d\s*[-+*/%^]\s*[\d(]/.test(text) && count('(') === count(')') && !/\d\s+\d|\.\D|\d\s*\(|\)\s*\d/.test(text)
}

export function timeZoneIn(text: string): string | undefined {
  return /\b[A-Z][a-z]{2,20}\/[A-Z][A-Za-z_]{2,30}\b/.exec(text.slice(0, MAX_CHARACTERS))?.[0]
}

/** Words of at least four letters, in lower case: shorter ones have little meaning. */
function wordsOf(text: string): string[] {
  return (
    text
      .slice(0, MAX_CHARACTERS)
      .toLowerCase()
      .match(/[\p{L}\p{N}]{4,}/gu) ?? []
  )
}
