// The providers in force: another list is opened beside the one in force, and takes over or goes without a trace.

import { createServer } from 'node:http'
import { afterAll, beforeAll, expect, test } from 'vitest'
import { readSettings } from '../../../src/config/settings.ts'
import type { CompatibleSettings } from '../../../src/providers/compatible/compatible.ts'
import { presetRow } from '../../../src/providers/compatible/presets.ts'
import { ProvidersInForce } from '../../../src/providers/index.ts'
import type { Provider } from '../../../src/providers/provider.ts'
import { listen } from '../../support/provider.ts'

const server = createServer((request, response) => {
  request.resume().on('end', () => response.end('{}'))
})
let baseUrl: string
beforeAll(async () => {
  baseUrl = await listen(server)
})
afterAll(() => {
  server.closeAllConnections()
  server.close()
})

const newProviders = () => new ProvidersInForce(readSettings({}))

function compatibleRow(name: string, model = ''): CompatibleSettings {
  return { ...presetRow('vllm'), name, baseUrl, apiKey: '', missingVariable: undefined, callerKeys: false, model }
}

/** `answered`, or the message of the error. */
function send(provider: Provider | undefined): Promise<string> {
  const request = { dialect: 'openai.chat', path: '/', headers: [], callerKey: undefined, body: Buffer.from('{}') }
  return new Promise((resolve) => {
    provider?.send(
      { ...request, model: 'm', stream: false, needsPlainAnswer: false },
      {
        started: () => {},
        head: () => {},
        data: () => {},
        end: () => resolve('answered'),
        failed: ({ message }) => resolve(message),
      },
    )
  })
}

const named = (list: readonly Provider[], name: string) => list.find((provider) => provider.name === name)

test('change when what was prepared is put in force, and not before; those whose row is the same stay', async () => {
  const providers = newProviders()
  providers.prepare({ callerKeys: [], compatible: [compatibleRow('a'), compatibleRow('b')] }).putInForce()
  const [a, b] = [named(providers.list, 'a'), named(providers.list, 'b')]
  const prepared = providers.prepare({ callerKeys: [], compatible: [compatibleRow('a'), compatibleRow('b', 'm')] })
  expect([named(providers.list, 'a'), named(providers.list, 'b')]).toEqual([a, b])
  prepared.putInForce()
  expect(named(providers.list, 'a')).toBe(a)
  expect(named(providers.list, 'b')?.defaultModel).toBe('m')
  // A call that was admitted before is sent all the same.
  expect(await Promise.all([send(a), send(b), send(named(providers.list, 'b'))])).toEqual(Array(3).fill('answered'))
  await providers.close()
})

test('that were prepared and are discarded are closed; those in force are not', async () => {
  const providers = newProviders()
  providers.prepare({ callerKeys: [], compatible: [compatibleRow('a'), compatibleRow('b')] }).putInForce()
  const before = providers.list
  const prepared = providers.prepare({ callerKeys: [], compatible: [compatibleRow('a'), compatibleRow('b', 'm')] })
  await prepared.discard()
  expect(providers.list).toBe(before)
  expect(await send(named(before, 'a'))).toBe('answered')
  expect(await send(named(before, 'b'))).toBe('answered')
  expect(await send(named(prepared.list, 'b'))).toMatch(/destroyed/)
  await providers.close()
})

test('that cannot be opened leave nothing open', async () => {
  const providers = newProviders()
  const before = providers.list
  const wrong = { ...compatibleRow('b'), baseUrl: 'no address' }
  expect(() => providers.prepare({ callerKeys: [], compatible: [compatibleRow('a'), wrong] })).toThrow()
  expect(providers.list).toBe(before)
  await providers.close()
})
