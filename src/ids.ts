// Ids: UUIDv7 (RFC 9562), in the order they were made, also within a millisecond. Clock and randomness are handed in.

const BATCH = 256
const HEX = Array.from({ length: 256 }, (_, byte) => byte.toString(16).padStart(2, '0'))

/** @param randomBytes fills a buffer of this many bytes; asked once for many ids. */
export function uuidV7Source(wallMs: () => number, randomBytes: (size: number) => Uint8Array): () => string {
  let pool: Uint8Array = new Uint8Array(0)
  let used = 0
  let lastMs = 0
  let counter = 0
  return () => {
    if (used + 8 > pool.length) {
      pool = randomBytes(8 * BATCH)
      used = 0
    }
    const byte = (at: number) => pool[used + at] ?? 0
    const now = wallMs()
    if (now > lastMs) {
      lastMs = now
      counter = ((byte(6) & 0x3) << 8) | byte(7)
    } else if (++counter > 0xfff) {
      // Twelve bits used up, or the clock stepped back: borrow from the next millisecond, so that order holds.
      lastMs++
      counter = 0
    }
    const time = lastMs.toString(16).padStart(12, '0')
    const hex = (value: number) => HEX[value] ?? '00'
    const variant = hex(0x80 | (byte(0) & 0x3f))
    const id = `${time.slice(0, 8)}-${time.slice(8)}-7${(0x1000 | counter).toString(16).slice(1)}-${variant}${hex(byte(1))}-${hex(byte(2))}${hex(byte(3))}${hex(byte(4))}${hex(byte(5))}${hex(byte(6))}${hex(byte(7))}`
    used += 8
    return id
  }
}
