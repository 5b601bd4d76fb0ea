// bursar.json on the disk: what cannot be read is an error, and the last file that could be stays in force.

import { spawnSync } from 'node:child_process'
import { chmodSync, mkdirSync, mkdtempSync, renameSync, rmSync, symlinkSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { beforeEach, describe, expect, it, onTestFinished } from 'vitest'
import { readChangedFile, readConfigFile } from '../../src/app/config-file.ts'
import { readEnvFile } from '../../src/app/read-env-file.ts'
import { reload } from '../../src/app/serve.ts'
import { useGateway } from '../support/gateway.ts'

const TWO_A_DAY = '{"limits":{"perUser":{"requestsPerDay":2}}}'

let folder: string
let path: string

beforeEach(() => {
  folder = mkdtempSync(join(tmpdir(), 'bursar-config-'))
  path = join(folder, 'bursar.json')
  onTestFinished(() => rmSync(folder, { recursive: true }))
})

/** What makes a file unreadable, and what is said of it after its path. */
const UNREADABLE: readonly (readonly [what: string, make: () => void, mistake: string])[] = [
  ['empty', () => writeFileSync(path, ''), ':1:1: file: must not be empty. A file without content is {}'],
  [
    'truncated',
    () => writeFileSync(path, TWO_A_DAY.slice(0, 20)),
    ':1:21: limits.perUser: must be complete, and the file ends here',
  ],
  ['a directory', () => mkdirSync(path), ': cannot be read (it is a directory). Expected a JSON file, or no file'],
  [
    'a link to nothing',
    () => symlinkSync(join(folder, 'nothing.json'), path),
    ': cannot be read (it is a link to a file that is not there). Expected a JSON file, or no file',
  ],
  ['UTF-16', () => writeFileSync(path, `\uFEFF${TWO_A_DAY}`, 'utf16le'), ': must be UTF-8, and is UTF-16'],
  [
    'Latin-1',
    () => writeFileSync(path, '{\n"aliases": {"caf\xe9":["sim/echo"]}}', 'latin1'),
    ': must be UTF-8, and is not from line 2 on',
  ],
  [
    'with limits twice',
    () => writeFileSync(path, `{"limits":{},\n"limits":{}}`),
    ':2:1: limits: must not stand twice. It is in line 1 already',
  ],
]

/** The mistakes that an account without rights gets. Root, which may read everything, becomes such an account. */
function mistakesOfOthers(): unknown {
  const url = new URL('../../src/app/config-file.ts', import.meta.url).href
  const script = `if (process.getuid() === 0) process.setuid(65534); const { readConfigFile } = await import(${JSON.stringify(url)})
    console.log(JSON.stringify(readConfigFile(${JSON.stringify(path)}, {}).mistakes))`
  const { stdout } = spawnSync(process.execPath, ['--input-type=module', '-e', script], { encoding: 'utf8' })
  return JSON.parse(stdout)
}

describe('bursar.json', () => {
  it('need not be there at the start', () => {
    expect(readConfigFile(path, {})).toMatchObject({ mistakes: [], file: { limits: [] } })
  })

  it.each(UNREADABLE)('that is %s is a mistake, at the start and later', (_what, make, mistake) => {
    make()
    expect(readConfigFile(path, {}).mistakes).toEqual([path + mistake])
    expect(readChangedFile(path, {}).mistakes).toEqual([path + mistake])
  })

  it('that must not be read is a mistake', () => {
    writeFileSync(path, TWO_A_DAY)
    chmodSync(folder, 0o755)
    chmodSync(path, 0)
    expect(mistakesOfOthers()).toEqual([
      `${path}: cannot be read (the permission is missing). Expected a JSON file, or no file`,
    ])
  })

  it('may begin with a byte order mark', () => {
    writeFileSync(path, `\uFEFF${TWO_A_DAY}`)
    expect(readConfigFile(path, {})).toMatchObject({ mistakes: [], file: { limits: [{ who: 'user', capacity: 2n }] } })
  })

  it('of which .env cannot be read is told, too', () => {
    expect(readEnvFile(join(folder, '.env'))).toEqual({ mistakes: [], warnings: [] })
    expect(readEnvFile(folder).mistakes).toEqual([
      `${folder}: cannot be read (it is a directory). Expected a text file, or no file`,
    ])
    writeFileSync(path, '\uFEFFDAILY_SPENDING_LIMIT=1', 'utf16le')
    expect(readEnvFile(path).mistakes).toEqual([`${path}: must be UTF-8, and is UTF-16`])
  })
})

describe('a reload', () => {
  const GONE = ': is gone. Put it back; or, to take back all that it sets, write {} into it, or start again without it'
  it.each([['gone', () => {}, GONE] as const, ...UNREADABLE])(
    'of a file that is %s leaves the last one in force, and says why in the log and at /llm/status',
    async (_what, make, mistake) => {
      const gateway = await useGateway({ config: JSON.parse(TWO_A_DAY) })
      const statusOfCall = async () => (await gateway.client.asks('openai', { cap: 10 })).status
      expect([await statusOfCall(), await statusOfCall()]).toEqual([200, 200])
      make()
      await reload(gateway.app, path, {})
      expect(await statusOfCall()).toBe(429)
      const line = gateway.log.map((text) => JSON.parse(text)).find(({ code }) => code === 'configuration_not_reloaded')
      const reason = `The configuration has 1 mistake:\n  ${path}${mistake}`
      expect(line).toMatchObject({ level: 50, file: path, reason })
      const { configuration } = await gateway.client.asksOwner<{ configuration: object }>('/llm/status')
      expect(configuration).toEqual({ warnings: [], not_reloaded: reason })
    },
  )

  it('takes a file that comes back, and takes limits back if the file says so', async () => {
    const gateway = await useGateway({ config: JSON.parse(TWO_A_DAY) })
    writeFileSync(path, TWO_A_DAY)
    renameSync(path, `${path}~`)
    await reload(gateway.app, path, {})
    renameSync(`${path}~`, path)
    await reload(gateway.app, path, {})
    expect(await gateway.client.asksOwner('/llm/status')).toMatchObject({ configuration: { not_reloaded: null } })
    for (const status of [200, 200, 429]) expect((await gateway.client.asks('openai', { cap: 10 })).status).toBe(status)
    writeFileSync(path, '{}')
    await reload(gateway.app, path, {})
    expect((await gateway.client.asks('openai', { cap: 10 })).status).toBe(200)
  })

  it('tells of names that match nothing as the start does, each time', async () => {
    const config = { aliases: { a: ['nope/x'] } }
    const gateway = await useGateway({ config })
    writeFileSync(path, JSON.stringify(config))
    await reload(gateway.app, path, {})
    await reload(gateway.app, path, {})
    const told = gateway.log.map((text) => JSON.parse(text)).filter(({ code }) => code === 'configuration_warning')
    const warning = 'aliases.a[0]: no provider is named nope. The names are openai, anthropic, gemini or simulated'
    expect(told.map(({ level, msg }) => [level, msg])).toEqual([
      [40, warning],
      [40, `${path}:1:18: ${warning}`],
      [40, `${path}:1:18: ${warning}`],
    ])
    expect(await gateway.client.asksOwner('/llm/status')).toMatchObject({
      configuration: { warnings: [`${path}:1:18: ${warning}`], not_reloaded: null },
    })
    expect(await (await gateway.client.fetch('in process', '/llm/status')).json()).not.toHaveProperty('configuration')
  })
})
