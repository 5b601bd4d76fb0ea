// Quotes: where the strings of a long JSON text begin and end. WebAssembly, since it can look at sixteen bytes at a time.

/** The binary of quotes.wat. */
export const BINARY = Buffer.from(
  'AGFzbQEAAAABBgFgAX8BfwMCAQAFAwEABgYGAX8BQQALBxsDBm1lbW9yeQIAB2VzY2FwZWQDAARmaW5kAAAKzgIBywIDA38EewV+IwCtIQtBgIAEIQICQANA' +
    'IAEgAE8NASAB/QAEACEEIAH9AAQQIQUgAf0ABCAhBiAB/QAEMCEHIARB3AD9D/0j/WQgBUHcAP0P/SP9ZEEQdHKtIAZB3AD9D/0j/WQgB0HcAP0P/SP9ZEEQ' +
    'dHKtQiCGhCEJIARBIv0P/SP9ZCAFQSL9D/0j/WRBEHRyrSAGQSL9D/0j/WQgB0Ei/Q/9I/1kQRB0cq1CIIaEIQggCSALQn+FgyEMIAxCAYZCqtWq1arVqtWq' +
    'f4QgDH1CqtWq1arVqtWqf4UhCiAIIAogCSALhIVCf4WDIQggCiAJg0I/iCELIAIgCHunQQJ0aiEDAkADQCACIANPDQEgAiABIAh6p2o2AgAgCCAIQgF9gyEI' +
    'IAJBBGohAgwACwsgAUHAAGohAQwACwsgC6ckACACQYCABGtBAnYL',
  'base64',
)

/** So much of a text is looked at in one go. */
export const BLOCK_BYTES = 65_536
const STEP_BYTES = 64
const SPACE = 0x20
/** Behind the last position that was found. */
const LAST = 0xffff_ffff

/** What quotes.wat exports. */
interface Exports {
  readonly memory: { readonly buffer: ArrayBuffer }
  readonly escaped: { value: number }
  readonly find: (length: number) => number
}

interface Engine extends Exports {
  readonly text: Uint8Array
  readonly found: Uint32Array
  /** Whose block was looked at last. A number: the text itself must not live on here. */
  holder: number
}

let made = 0

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
  readonly #bytes: Uint8Array
  readonly #engine: Engine
  readonly #number = ++made
  /** Of the block at hand: where it begins, whether its first byte is escaped, and which of its quotes comes next. */
  #from = 0
  #isEscaped = 0
  #next = 0
  /** Where the last answer was looked for. */
  #asked = 0

  private constructor(bytes: Uint8Array, found: Engine) {
    this.#bytes = bytes
    this.#engine = found
  }

  /** Undefined where there is no quick way to find them. @param bytes must not change meanwhile */
  static of(bytes: Uint8Array): Quotes | undefined {
    return engine && new Quotes(bytes, engine)
  }

  /** The first one at `at` or after it, or -1. Quick where each time is asked for a later one. */
  first(at: number): number {
    const { found, holder } = this.#engine
    if (at < this.#asked) this.#find(0, 0)
    // Another text was looked at in between.
    else if (holder !== this.#number) this.#find(this.#from, this.#isEscaped)
    this.#asked = at
    for (;;) {
      const place = at - this.#from
      let next = this.#next
      while ((found[next] ?? LAST) < place) next++
      this.#next = next
      const there = found[next] ?? LAST
      if (there !== LAST) return this.#from + there
      if (this.#from + BLOCK_BYTES >= this.#bytes.length) return -1
      this.#find(this.#from + BLOCK_BYTES, this.#engine.escaped.value)
    }
  }

  #find(from: number, isEscaped: number): void {
    const { text, found, escaped, find } = this.#engine
    const block = this.#bytes.subarray(from, from + BLOCK_BYTES)
    text.set(block)
    // It reads on to a whole step.
    text.fill(SPACE, block.length, Math.ceil(block.length / STEP_BYTES) * STEP_BYTES)
    escaped.value = isEscaped
    this.#engine.holder = this.#number
    this.#from = from
    this.#isEscaped = isEscaped
    found[find(block.length)] = LAST
    this.#next = 0
  }
}
