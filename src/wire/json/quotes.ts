// Quotes: where the strings of a long JSON text begin and end. WebAssembly finds them, sixteen bytes at a time:
// docs/decisions/quotes-wasm.md.

/** The binary of quotes.wat. */
export const WASM_BINARY = Buffer.from(
  'AGFzbQEAAAABBwFgAn9/AX8DAgEABQMBAAYHEQIGbWVtb3J5AgAEZmluZAAACskCAcYCAwN/BHsFfiABrSEMQYCABCEDAkADQCACIABPDQEgAv0ABAAhBSAC' +
    '/QAEECEGIAL9AAQgIQcgAv0ABDAhCCAFQdwA/Q/9I/1kIAZB3AD9D/0j/WRBEHRyrSAHQdwA/Q/9I/1kIAhB3AD9D/0j/WRBEHRyrUIghoQhCiAFQSL9D/0j' +
    '/WQgBkEi/Q/9I/1kQRB0cq0gB0Ei/Q/9I/1kIAhBIv0P/SP9ZEEQdHKtQiCGhCEJIAogDEJ/hYMhDSANQgGGQqrVqtWq1arVqn+EIA19QqrVqtWq1arVqn+F' +
    'IQsgCSALIAogDISFQn+FgyEJIAsgCoNCP4ghDCADIAl7p0ECdGohBAJAA0AgAyAETw0BIAMgAiAJeqdqNgIAIAkgCUIBfYMhCSADQQRqIQMMAAsLIAJBwABq' +
    'IQIMAAsLIANBgIAEa0ECdgs=',
  'base64',
)

/** How much of a text is searched at once. */
export const BLOCK_BYTES = 65_536
const STEP_BYTES = 64
const SPACE = 0x20
const QUOTE = 0x22
const BACKSLASH = 0x5c
/** Stands behind the last position that was found. */
const END_MARK = 0xffff_ffff

/** What quotes.wat exports. */
interface WasmExports {
  readonly memory: { readonly buffer: ArrayBuffer }
  readonly find: (length: number, escaped: number) => number
}

interface Engine {
  /** Returns where the list of positions ends. @param escaped 1 if a backslash before the text escapes its first byte */
  readonly find: WasmExports['find']
  readonly text: Uint8Array
  readonly quotePositions: Uint32Array
  /** The Quotes whose block `text` holds. It is a number so that the engine keeps no large text alive. */
  holderId: number
}

let lastId = 0

/** Undefined in runtimes that make no WebAssembly out of bytes. */
const engine = loadEngine(WASM_BINARY)

function loadEngine(binary: BufferSource): Engine | undefined {
  try {
    const { exports } = new WebAssembly.Instance(new WebAssembly.Module(binary))
    if (!isWasmExports(exports)) return undefined
    const { buffer } = exports.memory
    const text = new Uint8Array(buffer, 0, BLOCK_BYTES)
    const quotePositions = new Uint32Array(buffer, BLOCK_BYTES, BLOCK_BYTES + 1)
    return { find: exports.find, text, quotePositions, holderId: 0 }
  } catch {
    return undefined
  }
}

function isWasmExports(exports: object): exports is WasmExports {
  return (
    'memory' in exports &&
    exports.memory instanceof WebAssembly.Memory &&
    'find' in exports &&
    typeof exports.find === 'function'
  )
}

/** The quotes of one text that no backslash escapes, block by block. */
export class Quotes {
  readonly #bytes: Buffer
  readonly #engine: Engine
  readonly #id = ++lastId
  /** The start of the current block, and the index of its next quote. */
  #blockStart = 0
  #nextIndex = 0
  /** The position of the last query. */
  #lastPosition = 0

  private constructor(bytes: Buffer, engine: Engine) {
    this.#bytes = bytes
    this.#engine = engine
  }

  /** Undefined if the runtime has no quick way to find quotes. @param bytes must not change meanwhile */
  static of(bytes: Buffer): Quotes | undefined {
    return engine && new Quotes(bytes, engine)
  }

  /** The first quote at `position` or after it, or -1. Quick if each query is for a later position than the one before. */
  firstFrom(position: number): number {
    const { quotePositions, holderId } = this.#engine
    // The block is read again after a step back, or if another text took the engine in between.
    if (position < this.#lastPosition || holderId !== this.#id) this.#findInBlock(position)
    this.#lastPosition = position
    for (;;) {
      let next = this.#nextIndex
      while ((quotePositions[next] ?? END_MARK) < position - this.#blockStart) next++
      this.#nextIndex = next
      const found = quotePositions[next] ?? END_MARK
      if (found !== END_MARK) return this.#blockStart + found
      // Images and audio have no quotes for long: a native search passes over them.
      const later = this.#bytes.indexOf(QUOTE, this.#blockStart + BLOCK_BYTES)
      if (later < 0) return -1
      this.#findInBlock(later)
    }
  }

  /** Finds the quotes of the block that begins at `from`. */
  #findInBlock(from: number): void {
    const { text, quotePositions, find } = this.#engine
    const block = this.#bytes.subarray(from, from + BLOCK_BYTES)
    text.set(block)
    // `find` reads on to the end of a whole step.
    text.fill(SPACE, block.length, Math.ceil(block.length / STEP_BYTES) * STEP_BYTES)
    this.#engine.holderId = this.#id

    this.#blockStart = from
    this.#nextIndex = 0
    quotePositions[find(block.length, backslashesBefore(this.#bytes, from) % 2)] = END_MARK
  }
}

/** How many backslashes stand right before `position`. */
export function backslashesBefore(bytes: Uint8Array, position: number): number {
  let from = position
  while (bytes[from - 1] === BACKSLASH) from--
  return position - from
}
