// Quotes: the input tokens that the gateway reserves for a body, asked of the gateway's own code in this process. Nothing is sent.

import { randomBytes } from 'node:crypto'
import pino from 'pino'
import { type App, createApp } from '../../src/app/app.ts'
import { readFileConfig } from '../../src/config/file.ts'
import { readSettings } from '../../src/config/settings.ts'
import { uuidV7Source } from '../../src/core/call-ids.ts'
import type { Clock, Timer, Timers } from '../../src/core/clock.ts'
import { NO_SUBJECTS } from '../../src/core/limits.ts'
import { WebExchange } from '../../src/exchange/web.ts'
import { openStore } from '../../src/stores/index.ts'
import { dialectNamed } from '../../src/wire/index.ts'
import type { BodyDialect } from './bodies.ts'

const PRESETS = ['groq', 'together', 'openrouter', 'mistral', 'deepseek', 'azure', 'vllm'] as const
const PATHS: Readonly<Record<BodyDialect, (model: string) => string>> = {
  'openai.chat': () => '/v1/chat/completions',
  'openai.responses': () => '/v1/responses',
  'anthropic.messages': () => '/v1/messages',
  'gemini.generateContent': (model) => `/v1beta/models/${model}:generateContent`,
}
/** Callers of a gateway without keys. */
const NOBODY = { caller: NO_SUBJECTS.caller, key: undefined }
const SETTINGS = {
  UNKNOWN_PRICE: 'allow',
  MAX_REQUESTS_PER_MINUTE: '',
  MAX_TOKENS_PER_MINUTE: '',
  MAX_COST_PER_REQUEST: '',
  DAILY_SPENDING_LIMIT: '',
  OPENAI_API_KEY: 'sk',
  ANTHROPIC_API_KEY: 'sk',
  GEMINI_API_KEY: 'sk',
}

/** Time stands still, and no timer goes off: no call is made. */
const NOW = { wallMs: Date.UTC(2026, 10, 30), monoMs: 0 }
const TIMER: Timer = { unref: () => TIMER }
const STILL: Clock & Timers = { now: () => NOW, setTimeout: () => TIMER, clearTimeout: () => {} }

/** Answers how many input tokens are reserved for a body. */
export class Quotes {
  readonly #app: App

  private constructor(app: App) {
    this.#app = app
  }

  static async open(): Promise<Quotes> {
    const preset = (name: string) => [name, { preset: name, baseUrl: 'http://127.0.0.1:9/v1', apiKey: 'sk' }] as const
    const providers = Object.fromEntries(PRESETS.map(preset))
    const app = await createApp({
      settings: readSettings(SETTINGS),
      file: readFileConfig(JSON.stringify({ providers })),
      clock: STILL,
      timers: STILL,
      random: () => 0.5,
      randomBytes,
      newCallId: uuidV7Source(() => NOW.wallMs, randomBytes),
      log: pino({ level: 'silent' }),
      store: await openStore('memory:', { now: NOW }),
    })
    return new Quotes(app)
  }

  /** @param model as in a request to the gateway; Gemini's is in the path */
  of(dialect: BodyDialect, model: string): (body: string) => number {
    const { gate } = this.#app
    const path = PATHS[dialect](model.slice(model.indexOf('/') + 1))
    const exchange = new WebExchange(new Request(`http://localhost${path}`, { method: 'POST' }))
    const reader = dialectNamed(dialect)
    return (body) => {
      const applicant = gate.applicantFor(exchange, reader, Buffer.from(body), NOBODY)
      return gate.admissionControl.quote(applicant, NOW).inputTokens
    }
  }

  close(): Promise<void> {
    return this.#app.close(0)
  }
}
