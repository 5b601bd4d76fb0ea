// The log: what its lines hold, at which level, and that they go through pino like every other.

import pino from 'pino'
import { describe, expect, it } from 'vitest'
import { Problem } from '../../src/core/problem.ts'
import { CallLog } from '../../src/telemetry/call-log.ts'
import { refused, rejected, settled } from './events.ts'

function logged(options: pino.LoggerOptions = {}) {
  const lines: string[] = []
  const log = new CallLog(
    pino({ base: null, timestamp: false, ...options }, { write: (line) => void lines.push(line) }),
  )
  return { log, lines, last: () => JSON.parse(lines.at(-1) ?? '{}') }
}

describe('the line of a call', () => {
  it('holds figures and names with their units', () => {
    const { log, last } = logged()
    const cost = { totalNanoUsd: 123_000_001n, inputNanoUsd: 1n, outputNanoUsd: 123_000_000n }
    log.hear(settled({ callId: 'c1', caller: { ...settled().facts.caller, key: 'alice', user: 'a"b' } }, { cost }))
    expect(last()).toEqual({
      level: 30,
      call_id: 'c1',
      key: 'alice',
      user: 'a"b',
      model: 'gpt-4o',
      provider: 'openai',
      outcome: 'completed',
      certainty: 'exact',
      input_tokens: expect.any(Number),
      output_tokens: expect.any(Number),
      cost_usd: 0.123000001,
      latency_ms: expect.any(Number),
      time_to_first_token_ms: expect.toSatisfy((value) => value === null || typeof value === 'number'),
      stream: false,
      msg: 'call',
    })
  })

  it('names the target model if that is not the requested one, and the error of the last attempt', () => {
    const { log, last } = logged()
    const attempt = { provider: 'openai', model: 'm', status: 500, durationMs: 1, error: 'status 500', costNanoUsd: 0n }
    log.hear(settled({ requestedModel: 'alias', model: 'm' }, { attempts: [attempt] }))
    expect(last()).toMatchObject({ model: 'alias', target_model: 'm', error: 'status 500' })
  })

  it.each([1n, 999_999_999_999_999n, 100_000_000_000n, 1_000_000_001n])(
    'keeps every digit of %s nano-dollars',
    (totalNanoUsd) => {
      const { log, lines } = logged()
      log.hear(settled({}, { cost: { totalNanoUsd, inputNanoUsd: 0n, outputNanoUsd: totalNanoUsd } }))
      const written = /"cost_usd":([^,]*)/.exec(lines[0] ?? '')?.[1] ?? ''
      const [whole = '', fraction = ''] = Number(written).toFixed(9).split('.')
      expect(BigInt(whole + fraction)).toBe(totalNanoUsd)
    },
  )

  it('is written at its level, with the redaction of its logger', () => {
    const { log, lines, last } = logged({ level: 'warn', redact: ['key'] })
    log.hear(settled())
    log.hear(refused())
    log.hear(rejected())
    expect(lines).toEqual([])
    log.hear(rejected(new Problem('internal', 'The gateway failed.')))
    expect(last()).toMatchObject({ level: 40, outcome: 'rejected', reason: 'internal', status: 500 })
    const open = logged({ redact: ['key'] })
    open.log.hear(refused())
    expect(open.last()).toMatchObject({
      key: '[Redacted]',
      outcome: 'refused',
      limit: 'requests_per_minute',
      wait_ms: 1_000,
    })
  })
})

it('a notice is a line with its code', () => {
  const { log, last } = logged()
  log.notice({
    code: 'setting_ignored',
    level: 'warn',
    message: 'CONFIG_FILE names no file.',
    details: { file: 'x.json' },
  })
  expect(last()).toEqual({ level: 40, code: 'setting_ignored', file: 'x.json', msg: 'CONFIG_FILE names no file.' })
})
