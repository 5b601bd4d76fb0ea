// A process that will be killed: it makes calls as fast as it can and writes on its output what the store answered.
// Arguments: file, prefix of its call ids.

import { writeSync } from 'node:fs'
import { processTimers } from '../../src/stores/index.ts'
import { chargeOf, outcomeOf, reservationOf, usedOf } from './calls.ts'
import { openSqlite } from './open-sqlite.ts'

const [path = '', prefix = ''] = process.argv.slice(2)
const instant = () => ({ wallMs: Date.now(), monoMs: Date.now() })
const store = openSqlite(path, instant(), { checkpointMs: 50, timers: processTimers })
writeSync(1, 'open\n')

async function caller(name: string): Promise<void> {
  for (let index = 0; ; index++) {
    const callId = `${prefix}-${name}-${index}`
    const now = instant()
    const charges = [chargeOf('cost/total', 10n, 10n ** 12n), chargeOf('inFlight', 1n, 1000n)]
    const facts = { reservedCostNanoUsd: 10n, reservedAtMs: now.wallMs }
    await store.reserve([reservationOf(callId, charges, facts)], now)
    writeSync(1, `reserved ${callId}\n`)
    if (index % 3 === 0) {
      const amended = [chargeOf('cost/total', 25n, 10n ** 12n), chargeOf('inFlight', 1n, 1000n, { subject: 'b' })]
      await store.amend([reservationOf(callId, amended, { ...facts, reservedCostNanoUsd: 25n })], instant())
      writeSync(1, `amended ${callId}\n`)
    }
    // One in ten is never settled.
    if (index % 10 === 9) continue
    const cost = BigInt(index % 8)
    await store.settle([{ callId, outcome: outcomeOf(3, cost), used: usedOf(3, cost) }], instant())
    writeSync(1, `settled ${callId} ${cost}\n`)
  }
}

for (let name = 0; name < 8; name++) void caller(`${name}`)
