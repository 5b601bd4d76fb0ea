// Remembered: short texts that come with call after call, such as names of models, are made once and found by their bytes.

const SLOTS = 256
const LONGEST = 48

interface Known {
  readonly bytes: Uint8Array
  readonly text: string
}

const slots: (Known | undefined)[] = Array.from({ length: SLOTS }, () => undefined)

/** The UTF-8 text at `bytes[start, end)`. */
export function remembered(bytes: Buffer, start: number, end: number): string {
  if (end - start > LONGEST) return bytes.toString('utf8', start, end)
  let hash = 0
  for (let at = start; at < end; at++) hash = (Math.imul(hash, 31) + (bytes[at] ?? 0)) | 0
  const slot = hash & (SLOTS - 1)
  const known = slots[slot]
  if (known && isAt(bytes, start, end, known.bytes)) return known.text
  const text = bytes.toString('utf8', start, end)
  // A copy: what was read from must not be kept.
  slots[slot] = { bytes: new Uint8Array(bytes.subarray(start, end)), text }
  return text
}

function isAt(bytes: Buffer, start: number, end: number, wanted: Uint8Array): boolean {
  if (wanted.length !== end - start) return false
  for (let index = 0; index < wanted.length; index++) if (bytes[start + index] !== wanted[index]) return false
  return true
}
