// Read bytes: a file, or in plain words why it cannot be read.

import { readFileSync } from 'node:fs'

const REASONS: Readonly<Record<string, string>> = {
  EACCES: 'the permission is missing',
  EPERM: 'the permission is missing',
  EISDIR: 'it is a directory',
  ENOTDIR: 'a part of its path is a file',
  ELOOP: 'its links lead in a circle',
}

/** Neither bytes nor a reason if there is no such file. */
export function readBytes(path: string): { readonly bytes?: Buffer; readonly reason?: string } {
  try {
    return { bytes: readFileSync(path) }
  } catch (error) {
    const code = error instanceof Error && 'code' in error ? String(error.code) : 'for an unknown reason'
    return code === 'ENOENT' ? {} : { reason: REASONS[code] ?? code }
  }
}
