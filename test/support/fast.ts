// Fast: the setup of the project `fast`. It makes sockets, processes, workers and measurements of memory throw.

import childProcess from 'node:child_process'
import dgram from 'node:dgram'
import { syncBuiltinESMExports } from 'node:module'
import net from 'node:net'
import workerThreads from 'node:worker_threads'

/** Replaces a function, or a class, by one that throws. */
function forbid(owner: object, name: string, what: string): void {
  Object.defineProperty(owner, name, {
    configurable: true,
    writable: true,
    value: function forbidden(): never {
      throw new Error(`A fast test must not ${what}. List its file in test/support/slow-tests.ts.`)
    },
  })
}

forbid(net.Server.prototype, 'listen', 'listen on a socket')
forbid(net.Socket.prototype, 'connect', 'connect a socket')
forbid(dgram, 'createSocket', 'open a socket')
forbid(workerThreads, 'Worker', 'start a worker')
for (const name of ['exec', 'execFile', 'execFileSync', 'execSync', 'fork', 'spawn', 'spawnSync'])
  forbid(childProcess, name, 'start a process')
forbid(process, 'memoryUsage', 'measure memory')
syncBuiltinESMExports()
