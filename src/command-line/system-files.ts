// System files: the files and the standard input that commands read.

import { readFile } from 'node:fs/promises'
import { text } from 'node:stream/consumers'
import type { Files } from './command.ts'
import { CommandError } from './errors.ts'

export const systemFiles: Files = {
  read: async (path) => {
    try {
      return await readFile(path, 'utf8')
    } catch (error) {
      const code = error instanceof Error && 'code' in error ? String(error.code) : String(error)
      throw new CommandError(`${path} cannot be read: ${code === 'ENOENT' ? 'there is no such file' : code}.`)
    }
  },
  readInput: async () => (process.stdin.isTTY ? undefined : text(process.stdin)),
}
