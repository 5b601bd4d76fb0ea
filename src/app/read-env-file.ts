// Read env file: what is wrong with .env itself. dotenv puts its values into the environment, and hides what it cannot read.

import { checkEnvFile } from '../config/env-file.ts'
import { type EarlyFindings, NO_FINDINGS } from './load-configuration.ts'
import { isUtf16, readBytes } from './read-bytes.ts'

/** Without a file, nothing is wrong. */
export function readEnvFile(path: string): EarlyFindings {
  const { bytes, reason } = readBytes(path)
  if (reason !== undefined)
    return { mistakes: [`${path}: cannot be read (${reason}). Expected a text file, or no file`], warnings: [] }
  if (bytes !== undefined && isUtf16(bytes))
    return { mistakes: [`${path}: must be UTF-8, and is UTF-16`], warnings: [] }
  return bytes === undefined ? NO_FINDINGS : checkEnvFile(bytes.toString(), path)
}
