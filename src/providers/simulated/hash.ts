// A hash that makes the simulated provider's answers depend on the request alone.

const OFFSET_BASIS = 0x811c9dc5
const PRIME = 0x01000193

/** FNV-1a of 32 bits, without sign. */
export function hashOf(bytes: Uint8Array): number {
  let hash = OFFSET_BASIS
  for (const byte of bytes) hash = Math.imul(hash ^ byte, PRIME) >>> 0
  return hash
}

/** A next hash from one, for a sequence of them. */
export function nextHash(hash: number): number {
  return Math.imul(hash ^ (hash >>> 15), PRIME) >>> 0
}
