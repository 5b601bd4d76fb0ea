// Who may read the ledger's files, and what is said at the start of a ledger that cannot be written.

import { spawnSync } from 'node:child_process'
import { chmodSync, linkSync, mkdirSync, readdirSync, rmSync, statSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { describe, expect, onTestFinished, test } from 'vitest'
import { StoreUnusable } from '../../../src/stores/store.ts'
import { at, reservationOf } from '../calls.ts'
import { temporaryFolder } from '../folder.ts'
import { openSqlite } from '../open-sqlite.ts'
import { charges } from './sample-charges.ts'

const modeOf = (path: string) => (statSync(path).mode & 0o777).toString(8)
const modesIn = (folder: string) => [...new Set(readdirSync(folder).map((name) => modeOf(join(folder, name))))]

describe.skipIf(process.platform === 'win32')('file modes', () => {
  test.each([0o000, 0o022, 0o077, 0o777])('umask %o: only the owner reads the files of a new ledger', async (umask) => {
    const folder = temporaryFolder()
    const before = process.umask(umask)
    onTestFinished(() => void process.umask(before))
    const store = openSqlite(join(folder, 'ledger.db'))
    await store.reserve([reservationOf('one', charges)], at())
    expect(readdirSync(folder)).toEqual(expect.arrayContaining(['ledger.db', 'ledger.db-wal', 'ledger.db.owner']))
    expect(modesIn(folder)).toEqual(['600'])
    await store.close(at())
    expect(modesIn(folder)).toEqual(['600'])
  })

  test.each([
    ['0644, which no one chose', 0o644, '600'],
    ['0666', 0o666, '600'],
    ['0640, which someone chose', 0o640, '640'],
  ])('a ledger with mode %s', async (_name, mode, after) => {
    const path = join(temporaryFolder(), 'ledger.db')
    await openSqlite(path).close(at())
    chmodSync(path, mode)
    const store = openSqlite(path)
    await store.reserve([reservationOf('one', charges)], at())
    expect([path, `${path}-wal`, `${path}-shm`].map(modeOf)).toEqual([after, after, after])
    await store.close(at())
  })
})

describe('a ledger that cannot be written', () => {
  test('the error names the path, what is wrong, and the setting', () => {
    const folder = temporaryFolder()
    writeFileSync(join(folder, 'file'), '')
    mkdirSync(join(folder, 'ledger.db.owner'))
    const mistakes: Readonly<Record<string, string>> = {
      [join(folder, 'none', 'ledger.db')]: `its folder ${join(folder, 'none')} does not exist`,
      [join(folder, 'file', 'ledger.db')]: `its folder ${join(folder, 'file')} is no folder`,
      [folder]: 'the file is a folder',
      [join(folder, 'ledger.db')]: `the file ${join(folder, 'ledger.db.owner')} beside it is a folder`,
    }
    for (const [path, mistake] of Object.entries(mistakes)) {
      expect(() => openSqlite(path)).toThrow(StoreUnusable)
      expect(() => openSqlite(path)).toThrow(`The ledger ${path} cannot be opened: ${mistake}.`)
      expect(() => openSqlite(path)).toThrow('choose another path in DATABASE_URL')
    }
    expect(readdirSync(folder).sort()).toEqual(['file', 'ledger.db.owner'])
  })

  test('under a second name, which another process could own', async () => {
    const folder = temporaryFolder()
    const [path, other] = [join(folder, 'ledger.db'), join(folder, 'other.db')]
    const store = openSqlite(path)
    linkSync(path, other)
    for (const name of [path, other])
      expect(() => openSqlite(name)).toThrow(
        `The ledger ${name} cannot be opened: the file has another name, a hard link`,
      )
    await store.close(at())
    rmSync(other)
    await openSqlite(path).close(at())
  })

  // Root may write everything, and may become an account that may not.
  test.skipIf(process.getuid?.() !== 0)('without the right to write (only as root)', async () => {
    const folder = temporaryFolder()
    const path = join(folder, 'ledger.db')
    await openSqlite(path).close(at())
    const url = new URL('../../../src/stores/sqlite/file-access.ts', import.meta.url).href
    const script = `process.setuid(65534); const { checkAccess } = await import(${JSON.stringify(url)});
      try { checkAccess(${JSON.stringify(path)}) } catch (error) { console.log(error.message) }`
    const says = () => spawnSync(process.execPath, ['--input-type=module', '-e', script], { encoding: 'utf8' })
    chmodSync(folder, 0o755)
    expect(says().stdout).toContain(`its folder ${folder} cannot be written by the account that runs the gateway`)
    chmodSync(folder, 0o777)
    expect(says().stdout).toContain(`${path} cannot be opened: the file cannot be written by the account that runs`)
  })
})
