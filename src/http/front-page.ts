// Front page: GET / answers a person who opens the gateway's address, with what there is and where to start.

import { z } from 'zod'
import { endpointsFor } from './endpoint.ts'
import { VERSION } from './version.ts'

const DEFAULT_HOST = '127.0.0.1:5555'

const textFor = (version: string, host: string) => `Bursar ${version}: an LLM gateway that cannot overspend.

Point an SDK at this address:
  OpenAI      base URL /v1        POST /v1/chat/completions, /v1/responses, /v1/completions, /v1/embeddings
  Anthropic   base URL /          POST /v1/messages, /v1/messages/count_tokens
  Gemini      base URL /          POST /v1beta/models/{model}:generateContent, :streamGenerateContent, ...
  Patterns                        POST /api/patterns/{name}; GET /api/patterns lists them

Ask how it stands (if ADMIN_KEY is set, calls' figures need it or a key):
  GET  /llm/status                which providers are ready, and what to set for the others
  GET  /llm/stats                 totals, the recent hour, costs by day, the newest calls
  GET  /llm/limits                every limit's live level; /llm/limits/levels finds the fullest
  GET  /llm/live                  all of it at once, live: rates, limits, providers, the newest calls; ?stream=true
  POST /llm/estimate              what a call would reserve, and whether it fits
  GET  /llm/explain/{call_id}     what a call cost, or why it was refused
  GET  /v1/models                 the models that can be used
  GET  /token-usage/user/{id}, /token-usage/thread/{id}   what calls used and did cost; ?format=csv for tables
  GET  /token-usage/by-model, /token-usage/by-provider, /token-usage/by-agent, /token-usage/by-operation,
       /token-usage/by-user, /token-usage/by-key, /token-usage/by-project, /token-usage/by-day
  GET  /token-usage/series, /token-usage/forecast   cost over time by model and so on; what the month will have cost
  GET  /token-usage/all, /token-usage/refusals   every call; how many each limit refused
  GET  /token-usage/recommendations   what would cost less, with its arithmetic
  GET  /token-usage/export?format=focus   rows of FOCUS 1.0; format=csv for a row per call
  POST /token-usage/track         calls made elsewhere, at their own time, each once
  GET  /api/metrics/summary, /api/metrics/recent, /api/metrics/task/{id}; POST /api/metrics/reset (with ADMIN_KEY)
  GET  /audit/self-check          whether every sum is that of the ledger (with ADMIN_KEY)
  POST /admin/adjustments         what a call did cost, if the ledger has another figure (with ADMIN_KEY)
  GET, POST /admin/keys           every key, and a new one (with ADMIN_KEY; docs/keys.md)
  GET, PATCH, DELETE /admin/keys/{id}, POST /admin/keys/{id}/rotate
  GET  /admin/limits              every limit there is, and what sets it (with ADMIN_KEY)
  PUT  /admin/limits/{subject}    a limit from the next call on; GET, PATCH, DELETE; POST /admin/limits/{subject}/raise
  POST /admin/limits/backtest     what proposed limits would have refused (with ADMIN_KEY)
  GET, POST, DELETE /session      who is signed in with this browser; sign in, sign out (docs/keys.md)
  GET  /admin/sessions, DELETE /admin/sessions/{id}   who is signed in anywhere; sign them out (with ADMIN_KEY)
  GET  /healthz, /readyz          probes

Configure it while it runs (with ADMIN_KEY):
  GET  /admin/config              every value in force and where it is set; /admin/audit: who changed what
  PUT  /admin/settings            the default provider and models, and how many days the rows of calls are kept
  PUT  /admin/prices              prices of your own; GET lists them
  PUT  /admin/providers/{name}    a provider's key and address; GET /admin/providers lists them
  POST /admin/providers/{name}/test   whether a provider answers and takes its key
  PUT  /admin/alerts/{name}       a receiver of alerts; GET /admin/alerts; POST /admin/alerts/test

Start with a model that needs no key:
  curl -s http://${host}/v1/chat/completions -H 'content-type: application/json' \\
    -d '{"model":"sim/echo","messages":[{"role":"user","content":"hello"}]}'
`

const endpoint = endpointsFor<unknown>()

export const FRONT_PAGE = endpoint({
  method: 'GET',
  path: '/',
  role: 'key',
  summary: 'A text for people: what there is, and where to start.',
  answer: z.string(),
}).handle((_parts, { exchange }) => ({ answer: textFor(VERSION, exchange.header('host') ?? DEFAULT_HOST) }))
