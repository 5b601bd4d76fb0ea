// System files: the files and the standard input of commands.

import { rmSync } from 'node:fs'
import { lstat, open, readFile, rename, rm } from 'node:fs/promises'
import { text } from 'node:stream/consumers'
import type { DraftFile, Files } from './command.ts'
import { CommandError } from './errors.ts'

export const systemFiles: Files = {
  read: async (path) => {
    try {
      return await readFile(path, 'utf8')
    } catch (error) {
      const code = codeOf(error)
      throw new CommandError(`${path} cannot be read: ${code === 'ENOENT' ? 'there is no such file' : code}.`)
    }
  },
  readInput: async () => (process.stdin.isTTY ? undefined : text(process.stdin)),
  create: async (path) => {
    const found = await lstat(path).catch(() => undefined)
    // Renaming would put a file in place of a device or a link.
    if (found && !found.isFile()) throw new CommandError(`${path} cannot be written: it is no regular file.`)
    return createDraft(path)
  },
}

const SIGNAL_EXIT_CODES = { SIGINT: 130, SIGTERM: 143 } as const

/** The file has another name until it is whole. It is removed if the process is stopped before. */
async function createDraft(path: string): Promise<DraftFile> {
  const draftPath = `${path}.${process.pid}.part`
  const written = <T>(work: Promise<T>): Promise<T> =>
    work.catch((error: unknown) => {
      const code = codeOf(error)
      const reason = code === 'ENOENT' ? 'there is no such folder' : code === 'ENOSPC' ? 'the disk is full' : code
      throw new CommandError(`${path} cannot be written: ${reason}.`, { cause: error })
    })
  const file = await written(open(draftPath, 'wx', 0o600))
  const listeners = Object.entries(SIGNAL_EXIT_CODES).map(([signal, exitCode]) => {
    const listener = () => {
      rmSync(draftPath, { force: true })
      process.exit(exitCode)
    }
    process.once(signal, listener)
    return () => process.off(signal, listener)
  })
  const close = async () => {
    for (const remove of listeners) remove()
    await file.close()
  }
  return {
    write: async (chunk) => {
      await written(file.writeFile(chunk))
    },
    keep: async () => {
      await written(file.sync())
      await close()
      await written(rename(draftPath, path))
    },
    discard: async () => {
      await close()
      await rm(draftPath, { force: true })
    },
  }
}

function codeOf(error: unknown): string {
  return error instanceof Error && 'code' in error ? String(error.code) : String(error)
}
