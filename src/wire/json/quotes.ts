// Quotes: where the strings of a long JSON text begin and end. WebAssembly, since it can look at sixteen bytes at a time.

/** The binary of quotes.wat. */
export const BINARY = Buffer.from(
  'AGFzbQEAAAABBwFgAn9/AX8DAgEABQMBAAYHEQIGbWVtb3J5AgAEZmluZAAACskCAcYCAwN/BHsFfiABrSEMQYCABCEDAkADQCACIABPDQEgAv0ABAAhBSAC' +
    '/QAEECEGIAL9AAQgIQcgAv0ABDAhCCAFQdwA/Q/9I/1kIAZB3AD9D/0j/WRBEHRyrSAHQdwA/Q/9I/1kIAhB3AD9D/0j/WRBEHRyrUIghoQhCiAFQSL9D/0j' +
    '/WQgBkEi/Q/9I/1kQRB0cq0gB0Ei/Q/9I/1kIAhBIv0P/SP9ZEEQdHKtQiCGhCEJIAogDEJ/hYMhDSANQgGGQqrVqtWq1arVqn+EIA19QqrVqtWq1arVqn+F' +
    'IQsgCSALIAogDISFQn+FgyEJIAsgCoNCP4ghDCADIAl7p0ECdGohBAJAA0AgAyAETw0BIAMgAiAJeqdqNgIAIAkgCUIBfYMhCSADQQRqIQMMAAsLIAJBwABq' +
    'IQIMAAsLIANBgIAEa0ECdgs=',
  'base64',
)

/** So much of a text is looked at in one go. */
export const BLOCK_BYTES = 65_536
const STEP_BYTES = 64
const SPACE = 0x20
const QUOTE = 0x22
const BACKSLASH = 0x5c
/** Behind the last position that was found. */
const LAST = 0xffff_ffff

/** What quotes.wat exports. */
interface Exports {
  readonly memory: { readonly buffer: ArrayBuffer }
  readonly find: (length: number, escaped: number) => number
}

interface Engine extends Exports {
  readonly text: Uint8Array
  readonly found: Uint32Array
  /** Whose block `text` has. A number: the text itself, which may be large, must not live on here. */
  holder: number
}

let lastNumber = 0

/** Undefined where a runtime makes no WebAssembly out of bytes. */
const engine = engineOf(BINARY)

function engineOf(binary: BufferSource): Engine | undefined {
  try {
    const exports = new WebAssembly.Instance(new WebAssembly.Module(binary)).exports as unknown as Exports
    const { buffer } = exports.memory
    const text = new Uint8Array(buffer, 0, BLOCK_BYTES)
    const found = new Uint32Array(buffer, BLOCK_BYTES, BLOCK_BYTES + 1)
    return { ...exports, text, found, holder: 0 }
  } catch {
    return undefined
  }
}

/** The quotes of one text that no backslash escapes, block by block. */
export class Quotes {
  readonly #bytes: Buffer
  readonly #engine: Engine
  readonly #number = ++lastNumber
  /** Where the block at hand begins, and which of its quotes comes next. */
  #from = 0
  #next = 0
  /** Where the last answer was looked for. */
  #asked = 0

  private constructor(bytes: Buffer, engine: Engine) {
    this.#bytes = bytes
    this.#engine = engine
  }

  /** Undefined where there is no quick way to find them. @param bytes must not change meanwhile */
  static of(bytes: Buffer): Quotes | undefined {
    return engine && new Quotes(bytes, engine)
  }

  /** The first one at `at` or after it, or -1. Quick where each time is asked for a later one. */
  first(at: number): number {
    const { found, holder } = this.#engine
    // Where it was not asked before, or another text was looked at in between.
    if (at < this.#asked || holder !== this.#number) this.#find(at)
    this.#asked = at
    for (;;) {
      let next = this.#next
      while ((found[next] ?? LAST) < at - this.#from) next++
      this.#next = next
      const place = found[next] ?? LAST
      if (place !== LAST) return this.#from + place
      // A native search passes over pictures and sound, which have none for long.
      const later = this.#bytes.indexOf(QUOTE, this.#from + BLOCK_BYTES)
      if (later < 0) return -1
      this.#find(later)
    }
  }

  /** Finds those of the block that begins at `from`. */
  #find(from: number): void {
    const { text, found, find } = this.#engine
    const block = this.#bytes.subarray(from, from + BLOCK_BYTES)
    text.set(block)
    // It reads on to a whole step.
    text.fill(SPACE, block.length, Math.ceil(block.length / STEP_BYTES) * STEP_BYTES)
    this.#engine.holder = this.#number

    this.#from = from
    this.#next = 0
    found[find(block.length, backslashesBefore(this.#bytes, from) % 2)] = LAST
  }
}

/** How many stand right before `at`. */
export function backslashesBefore(bytes: Uint8Array, at: number): number {
  let from = at
  while (bytes[from - 1] === BACKSLASH) from--
  return at - from
}
