// Config file: reads bursar.json, and notices when it changes. A file that is there must be readable; a file that goes away
// while the gateway runs changes nothing.

import { type Stats, unwatchFile, watchFile } from 'node:fs'
import { EMPTY_FILE_CONFIG, type FileReading, readFileText } from '../config/file.ts'
import type { Environment } from '../config/settings.ts'
import { isUtf16, readBytes } from './read-bytes.ts'

const POLL_INTERVAL_MS = 1_000

/** The file at the start. There need be none. */
export function readConfigFile(path: string, env: Environment): FileReading {
  return readFile(path, env, { file: EMPTY_FILE_CONFIG, mistakes: [] })
}

/** The file when it has changed. One that is gone is a mistake: it may be about to be replaced. */
export function readChangedFile(path: string, env: Environment): FileReading {
  const mistake = `${path}: is gone. Put it back; or, to take back all that it sets, write {} into it, or start again without it`
  return readFile(path, env, { file: EMPTY_FILE_CONFIG, mistakes: [mistake] })
}

function readFile(path: string, env: Environment, absent: FileReading): FileReading {
  const unreadable = (mistake: string) => ({ file: EMPTY_FILE_CONFIG, mistakes: [`${path}: ${mistake}`] })
  const { bytes, reason } = readBytes(path)
  if (reason !== undefined) return unreadable(`cannot be read (${reason}). Expected a JSON file, or no file`)
  if (bytes === undefined) return absent
  if (isUtf16(bytes)) return unreadable('must be UTF-8, and is UTF-16')
  try {
    // It skips a byte order mark.
    return readFileText(new TextDecoder('utf-8', { fatal: true }).decode(bytes), env, path)
  } catch (error) {
    if (error instanceof TypeError) return unreadable(`must be UTF-8, and is not from line ${invalidLine(bytes)} on`)
    throw error
  }
}

/** The line of the first bytes that are not UTF-8. */
function invalidLine(bytes: Buffer): number {
  const text = bytes.toString()
  return text.slice(0, text.indexOf('\uFFFD')).split('\n').length
}

/** Calls `changed` when the file changes, appears, goes, or can be read by others than before. Returns the way to stop. */
export function watchConfigFile(path: string, changed: () => void): () => void {
  const listener = (current: Stats, previous: Stats) => {
    // A file that is not there has no links. If there is none at the start, Node says so once.
    if (current.nlink > 0 || previous.nlink > 0) changed()
  }
  watchFile(path, { interval: POLL_INTERVAL_MS }, listener)
  return () => unwatchFile(path, listener)
}
