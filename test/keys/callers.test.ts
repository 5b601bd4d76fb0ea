// Callers: who sends a request for figures, by the key it carries and by the keys that are configured.

import { describe, expect, it } from 'vitest'
import { Callers, type CallersOptions } from '../../src/keys/callers.ts'
import { KeyDirectory } from '../../src/keys/key-directory.ts'
import { MemoryRegistry } from '../../src/stores/memory/registry.ts'
import { ManualClock } from '../support/clocks.ts'
import { NO_LIMIT_CHANGES } from '../support/key-limits.ts'

const KEYS = [{ id: 'alice', secret: 'alice-secret-alice' }]
const callersWith = (options: Partial<CallersOptions>) =>
  new Callers({
    keys: KEYS,
    directory: new KeyDirectory(new MemoryRegistry(), NO_LIMIT_CHANGES),
    adminKey: 'the-admin-secret',
    authOff: false,
    isExposed: false,
    clock: new ManualClock(),
    ...options,
  })
const OPEN = { keys: [], adminKey: '' }

function request(headers: Readonly<Record<string, string>>, query = '', remoteAddress?: string) {
  return { path: '/llm/stats', query, header: (name: string) => headers[name], remoteAddress }
}

describe('the viewer of a request', () => {
  it.each<[string, Partial<CallersOptions>, Readonly<Record<string, string>>, object]>([
    ['a key', {}, { authorization: 'Bearer alice-secret-alice' }, { role: 'key', key: 'alice' }],
    ['the admin key', {}, { 'x-bursar-key': 'the-admin-secret' }, { role: 'admin', key: null }],
    [
      'the admin key, without other keys',
      { keys: [] },
      { 'x-api-key': 'the-admin-secret' },
      { role: 'admin', key: null },
    ],
    ['nothing, without keys', OPEN, { host: '127.0.0.1:5555' }, { role: 'open', key: null }],
    ['a secret that is not checked, without keys', OPEN, { 'x-api-key': 'anything' }, { role: 'open', key: null }],
    ['no key but the admin key configured', { keys: [] }, { 'x-api-key': 'anything' }, { role: 'guest', key: null }],
    [
      'nothing, without keys and with AUTH=off',
      { ...OPEN, authOff: true },
      { host: 'a.example' },
      { role: 'open', key: null },
    ],
  ])('with %s', async (_, options, headers, viewer) => {
    expect(await callersWith(options).identifyViewer(request(headers))).toMatchObject(viewer)
  })

  it.each<[string, Partial<CallersOptions>, Readonly<Record<string, string>>, string]>([
    ['no key', {}, {}, 'unauthenticated'],
    ['a wrong key', {}, { authorization: 'Bearer wrong-secret-wrong' }, 'unauthenticated'],
    ['an empty key, without an admin key', { adminKey: '' }, { 'x-api-key': '' }, 'unauthenticated'],
    ['a foreign host, without keys', { keys: [] }, { host: 'evil.example' }, 'forbidden'],
    ['a foreign page, without keys', { keys: [] }, { host: 'localhost', origin: 'https://evil.example' }, 'forbidden'],
  ])('with %s is refused', async (_, options, headers, code) => {
    await expect(callersWith(options).identifyViewer(request(headers))).rejects.toMatchObject({ code })
  })

  it('sees no figures as a guest, and figures with the admin key', async () => {
    const callers = callersWith({ keys: [] })
    for (const headers of [{}, { authorization: '' }, { 'x-api-key': 'anything' }]) {
      await expect(callers.identifyFiguresViewer(request(headers))).rejects.toMatchObject({
        code: 'unauthenticated',
        message: expect.stringContaining('ADMIN_KEY'),
      })
    }
    const admin = request({ 'api-key': 'the-admin-secret' })
    expect(await callers.identifyFiguresViewer(admin)).toMatchObject({ role: 'admin' })
    expect(await callersWith(OPEN).identifyFiguresViewer(request({}))).toMatchObject({ role: 'open' })
    expect(await callersWith({}).identifyFiguresViewer(request({ 'api-key': KEYS[0]?.secret ?? '' }))).toMatchObject({
      role: 'key',
    })
  })

  const BEARER = 'Bearer alice-secret-alice'
  it.each<[Readonly<Record<string, string>>, string]>([
    [{ 'x-bursar-key': '', authorization: BEARER }, ''],
    [{ 'x-bursar-key': '', 'x-api-key': '', 'api-key': 'alice-secret-alice' }, ''],
    [{ authorization: '', 'x-api-key': 'alice-secret-alice' }, ''],
    [{ authorization: 'Bearer ', 'x-goog-api-key': 'alice-secret-alice' }, ''],
    [{ 'x-bursar-key': ' \t', 'x-api-key': ' ', 'x-goog-api-key': '\t', authorization: BEARER }, ''],
    [{ 'x-goog-api-key': ' ', 'api-key': ' alice-secret-alice ' }, ''],
    [{ 'x-api-key': ' ' }, 'key=alice-secret-alice'],
    [{ 'x-goog-api-key': '' }, 'key=alice-secret-alice'],
  ])('does not count places that are empty: %j?%s', async (headers, query) => {
    expect(await callersWith({}).identifyViewer(request(headers, query))).toMatchObject({ key: 'alice' })
  })

  it('counts the first place that holds something, right or wrong', async () => {
    const headers = { 'x-bursar-key': 'wrong-secret-wrong', authorization: BEARER }
    await expect(callersWith({}).identifyViewer(request(headers))).rejects.toThrow()
  })

  it('reads a key from the query, exactly as SDKs write it', async () => {
    const callers = callersWith({})
    expect(await callers.identifyViewer(request({}, 'a=b&key=alice-secret-alice'))).toMatchObject({ key: 'alice' })
    await expect(callers.identifyViewer(request({}, '%6bey=alice-secret-alice'))).rejects.toThrow()
  })
})

describe('the address of a request without keys', () => {
  const LOCAL_HOST = { host: 'localhost:5555' }

  it.each(['127.0.0.1', '127.8.0.1', '::1', '::ffff:127.0.0.1', '::FFFF:127.0.0.1', undefined])(
    '%s is let in',
    async (address) => {
      const { caller } = await callersWith({ keys: [] }).identify(request(LOCAL_HOST, '', address))
      expect(caller).toMatchObject({ key: null })
    },
  )

  it.each(['10.0.0.9', '172.17.0.1', '::ffff:10.0.0.9', 'fe80::1', '2001:db8::127.0.0.1', '127.0.0.1.example', ''])(
    '%j is refused, whatever the headers say, and the settings are named',
    async (address) => {
      const headers = {
        ...LOCAL_HOST,
        'x-forwarded-for': '127.0.0.1',
        'x-real-ip': '127.0.0.1',
        forwarded: 'for=127.0.0.1',
      }
      const forbidden = { code: 'forbidden', message: expect.stringMatching(/Set BURSAR_KEYS, or AUTH=off/) }
      expect(() => callersWith({ keys: [] }).identify(request(headers, '', address))).toThrow(
        expect.objectContaining(forbidden),
      )
      await expect(callersWith({ keys: [] }).identifyViewer(request(headers, '', address))).rejects.toMatchObject(
        forbidden,
      )
    },
  )

  it.each<[string, Partial<CallersOptions>, Readonly<Record<string, string>>]>([
    ['with AUTH=off', { keys: [], authOff: true }, LOCAL_HOST],
    ['with a key', {}, { authorization: 'Bearer alice-secret-alice' }],
    ['with the admin key', { keys: [] }, { authorization: 'Bearer the-admin-secret' }],
  ])('does not matter %s', async (_, options, headers) => {
    expect(await callersWith(options).identifyViewer(request(headers, '', '10.0.0.9'))).toBeDefined()
  })
})
