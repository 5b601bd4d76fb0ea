// bursar alerts with a whole gateway and a receiver: what the commands send is what /admin/alerts takes, and its answers are read.

import { createServer } from 'node:http'
import { expect, it, onTestFinished } from 'vitest'
import { readRequest, runCommand } from '../../src/command-line/index.ts'
import { ADMIN_KEY } from '../support/client-and-ledger.ts'
import { type GatewayFixture, useGateway } from '../support/gateway.ts'
import { listen } from '../support/provider.ts'

const SECRET = `whsec_${Buffer.from('a secret of twenty-four b').toString('base64')}`

function commandsOf(gateway: GatewayFixture) {
  return async (line: readonly string[], input?: string) => {
    const request = readRequest(['alerts', ...line])
    if (request.kind !== 'command') throw new Error(`alerts ${line.join(' ')} is no command`)
    const nothing = { write: async () => undefined }
    return runCommand(request.command, request.args, {
      url: gateway.url,
      adminKey: ADMIN_KEY,
      callerKey: undefined,
      nowMs: 0,
      files: {
        read: async () => '',
        readInput: async () => input,
        create: async () => ({ ...nothing, keep: async () => undefined, discard: async () => undefined }),
      },
      terminal: { output: nothing, progress: () => undefined },
      fetch,
    })
  }
}

it('a receiver is set, listed, tested, replaced and removed', async () => {
  let status = 200
  const server = createServer((request, response) => request.resume().on('end', () => response.writeHead(status).end()))
  const url = `${await listen(server)}/hook-path`
  onTestFinished(() => void server.close().closeAllConnections())
  const gateway = await useGateway({
    env: { BURSAR_SECRET: 'the-bursar-secret-of-tests', ALERTS_ALLOW_PRIVATE: 'true' },
  })
  const alerts = commandsOf(gateway)
  expect((await alerts(['list'])).stdout).toBe('none\n')

  const options = ['--on=limit', '--limit=perUser.costPerDay', '--at=80', '--at=100']
  const file = JSON.stringify({ send: 'webhook', url, secret: SECRET })
  const set = await alerts(['set', 'ops', '--file=-', ...options], file)
  expect(set.stderr).toBe('')
  expect(set.stdout).toMatch(/^name +ops\non +limit\nlimits +perUser\.costPerDay\nat +80, 100\nsend +webhook\n/)
  expect(set.stdout).not.toMatch(/hook-path|whsec_/)
  expect((await alerts(['list'])).stdout.split('\n')[1]).toMatch(/^ops +webhook +limit +registry +0 +- +-$/)

  expect(await alerts(['test', 'ops'])).toMatchObject({
    stdout: expect.stringMatching(/^ops: .*status 200/),
    exitCode: 0,
  })
  status = 500
  expect(await alerts(['test', 'ops'])).toMatchObject({
    stdout: '',
    stderr: expect.stringMatching(/^ops: .*status 500/),
    exitCode: 1,
  })
  expect(await alerts(['test', 'opps'])).toMatchObject({ stderr: expect.stringContaining('Did you mean ops?') })

  const mail = ['--send=mail', '--server=smtp://127.0.0.1:1025', '--from=a@example.com', '--to=b@example.com']
  expect(await alerts(['set', 'ops', ...mail, '--factor=2.5', '--floor=5'])).toMatchObject({ stderr: '', exitCode: 0 })
  expect((await alerts(['list'])).stdout.split('\n')[1]).toMatch(/^ops +mail +all +registry +0 /)
  expect(await alerts(['set', 'ops', '--send=slack'])).toMatchObject({
    stderr: 'url: is missing; it must be text\n',
    exitCode: 1,
  })

  expect((await alerts(['remove', 'ops'])).stdout).toMatch(/^name +ops\nremoved +true\n$/)
  expect((await alerts(['list'])).stdout).toBe('none\n')
  expect(await alerts(['remove', 'ops'])).toMatchObject({ exitCode: 1, stderr: 'No alert named ops is set here.\n' })
})
