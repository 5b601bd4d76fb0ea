// The fast tests: what they must not do throws, and the list of the others names only files there are.

import { execFile, fork, spawn } from 'node:child_process'
import { createSocket } from 'node:dgram'
import { globSync } from 'node:fs'
import { createServer } from 'node:http'
import { connect } from 'node:net'
import { Worker } from 'node:worker_threads'
import { describe, expect, test } from 'vitest'
import { SLOW_TESTS } from './support/slow-tests.ts'

describe('a fast test', () => {
  test.each([
    ['listen on a socket', () => createServer().listen(0)],
    ['connect a socket', () => connect(9)],
    ['open a socket', () => createSocket('udp4')],
    ['start a worker', () => new Worker('')],
    ['start a process', () => spawn('true')],
    ['start a process', () => execFile('true')],
    ['start a process', () => fork('true')],
    ['measure memory', () => process.memoryUsage()],
  ])('must not %s', (what, act) => {
    expect(act).toThrow(`A fast test must not ${what}. List its file in test/support/slow-tests.ts.`)
  })

  test('must not fetch either', async () => {
    await expect(fetch('http://127.0.0.1:65535')).rejects.toMatchObject({
      cause: { message: expect.stringContaining('A fast test must not connect a socket.') },
    })
  })
})

test.each(SLOW_TESTS)('%s names files there are', (pattern) => {
  expect(globSync(pattern, { cwd: new URL('../', import.meta.url) })).not.toEqual([])
})
