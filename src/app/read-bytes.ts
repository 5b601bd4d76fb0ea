// Read bytes: a file, or in plain words why it cannot be read.

import { lstatSync, readFileSync } from 'node:fs'

const REASONS: Readonly<Record<string, string>> = {
  EACCES: 'the permission is missing',
  EPERM: 'the permission is missing',
  EISDIR: 'it is a directory',
  ENOTDIR: 'a part of its path is a file',
  ELOOP: 'its links lead in a circle',
}

const UTF_16_MARKS = [Buffer.from([0xff, 0xfe]), Buffer.from([0xfe, 0xff])]

/** True for text that is not UTF-8 but UTF-16, as some editors and shells on Windows write it. */
export function isUtf16(bytes: Buffer): boolean {
  return UTF_16_MARKS.some((mark) => bytes.subarray(0, 2).equals(mark))
}

/** Neither bytes nor a reason if there is no such file. A link to nothing is no file that is absent: somebody has put it there. */
export function readBytes(path: string): { readonly bytes?: Buffer; readonly reason?: string } {
  try {
    return { bytes: readFileSync(path) }
  } catch (error) {
    const code = error instanceof Error && 'code' in error ? String(error.code) : 'for an unknown reason'
    if (code === 'ENOENT') return isLink(path) ? { reason: 'it is a link to a file that is not there' } : {}
    return { reason: REASONS[code] ?? code }
  }
}

function isLink(path: string): boolean {
  return lstatSync(path, { throwIfNoEntry: false })?.isSymbolicLink() === true
}
