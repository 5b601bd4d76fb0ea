// Endpoints of our own: each is one row of method, path, role, schemas and handler. The row routes, checks the input and
// types the handler. LLM calls are not rows: call/gate.ts answers them.

import { type Context, Hono } from 'hono'
import { z } from 'zod'
import type { Gate } from '../call/gate.ts'
import { describeIssue } from '../core/issue-text.ts'
import { hasMoreValuesThan, parseObject } from '../core/json-values.ts'
import type { Caller } from '../core/ledger-entry.ts'
import type { PermitLease } from '../core/permits.ts'
import { Problem } from '../core/problem.ts'
import { bodyTooLargeProblem } from '../exchange/exchange.ts'
import { readJsonBody } from '../exchange/json-body.ts'
import type { WebExchange } from '../exchange/web.ts'
import type { Administrator, Callers, Viewer } from '../keys/callers.ts'
import { secretInRequest } from '../keys/secrets.ts'
import { issueOf, truncate } from '../patterns/pattern/pattern.ts'
import type { Viewers } from '../sessions/viewers.ts'
import { exchangeOf } from './hono-request.ts'
import { problemResponse } from './problems.ts'

/**
 * What a handler learns about the sender, by the role that the endpoint requires. `open`: anyone. `key`: a key or the admin
 * key. `caller`: a key that may make calls, which the admin key may not. If no keys are configured, everyone who
 * reaches the gateway has these three. `figures`: as `key`, and if no keys are configured but an admin key is, that key alone.
 * `admin`: the admin key alone, also if all else is open. For `key`, `figures` and `admin`, a session stands in for the key it began with.
 */
interface Senders {
  readonly open: undefined
  readonly key: Viewer
  readonly figures: Viewer
  readonly caller: Caller
  readonly admin: Administrator
}
export type Role = keyof Senders

/** A request whose path and query have been checked. */
interface EndpointRequest<R extends Role, Params, Query, Body> {
  readonly sender: Senders[R]
  /** The named parts of the path. */
  readonly params: Params
  readonly query: Query
  /** Reads the body and checks it; call it once. Rejects with Problem. */
  body(): Promise<Body>
  readonly exchange: WebExchange
  /** Aborted once the client has gone. */
  readonly signal: AbortSignal
}

/** The reply of a handler: an answer of the row's schema, or a whole Response if it streams or fails in a shape of its own. */
export type Reply<Answer> = (
  | { readonly answer: Answer; readonly status?: 200 | 201 | 503; readonly headers?: Readonly<Record<string, string>> }
  | { readonly response: Response }
) & {
  /** The bytes of the request's body count as held, and the gateway as busy, until this resolves. */
  readonly holdsBodyUntil?: Promise<unknown>
}

/**
 * One endpoint, without its handler. A text is answered as `text/plain`, anything else as JSON.
 *
 * @example
 * const endpoint = endpointsFor<{ store: Store }>()
 * const SETTLED = endpoint({
 *   method: 'GET',
 *   path: '/llm/settled/:call_id',
 *   role: 'key',
 *   summary: 'Whether a call is settled.',
 *   params: z.strictObject({ call_id: z.string() }),
 *   answer: z.strictObject({ settled: z.boolean() }),
 * }).handle(async ({ store }, { params }) => {
 *   const entry = await store.entry(params.call_id)
 *   return { answer: { settled: entry?.outcome !== undefined } }
 * })
 */
export interface EndpointRow<
  R extends Role,
  Answer extends z.ZodType = z.ZodType,
  Params extends z.ZodObject = z.ZodObject,
  Query extends z.ZodObject = z.ZodObject,
  Body extends z.ZodType = z.ZodType,
> {
  readonly method: 'GET' | 'POST' | 'PUT' | 'PATCH' | 'DELETE'
  /** The path in Hono's notation: `/llm/explain/:call_id`. */
  readonly path: string
  /** A second path with the same meaning. */
  readonly alias?: string
  readonly role: R
  /** What it is for, in one line. */
  readonly summary: string
  readonly params?: Params
  /** The query parameters. Any other is refused, except a caller's `key`. */
  readonly query?: Query
  /** The JSON of the body, or `RAW_BODY`. Without it the body is not read. */
  readonly body?: Body
  /** A request without a body is one with an empty object. */
  readonly mayLackBody?: true
  /** In place of MAX_BODY_BYTES. */
  readonly maxBodyBytes?: number
  readonly answer: Answer
}

/** A row with its handler. */
export interface Endpoint<Parts> extends EndpointRow<Role> {
  /** Checks a request and answers it. Rejects with Problem. */
  respond(parts: Parts & AccessParts, c: Context): Promise<Response>
}

/** What every endpoint needs of the gateway, in addition to what its handler needs. */
export interface AccessParts {
  readonly callers: Callers
  readonly viewers: Viewers
  readonly gate: Pick<Gate, 'withBufferLease'>
  readonly settings: { readonly MAX_BODY_BYTES: number }
}

/** The bytes of a JSON body whose meaning depends on the query, so that the handler reads them itself. */
export const RAW_BODY = z.custom<Buffer>((value) => Buffer.isBuffer(value)).meta({ description: 'JSON.' })

/** More values take seconds to parse, and no request needs as many. */
const MAX_JSON_VALUES = 100_000
const MAX_SHOWN_CHARACTERS = 64
const NO_FIELDS = z.strictObject({})
const EMPTY_OBJECT = Buffer.from('{}')
const NO_BODY = z.undefined()

/** What makes rows endpoints, for handlers that need these parts of the gateway. */
export function endpointsFor<Parts>() {
  return <
    R extends Role,
    Answer extends z.ZodType,
    Params extends z.ZodObject = typeof NO_FIELDS,
    Query extends z.ZodObject = typeof NO_FIELDS,
    Body extends z.ZodType = typeof NO_BODY,
  >(
    row: EndpointRow<R, Answer, Params, Query, Body>,
  ) => ({
    /** The handler may throw Problem; anything else that it throws is answered as `internal`. */
    handle: (handle: Handler<Parts, R, Answer, Params, Query, Body>): Endpoint<Parts> => ({
      ...row,
      respond: (parts, c) => answerRequest(row, handle, parts, c),
    }),
  })
}

type Handler<
  Parts,
  R extends Role,
  Answer extends z.ZodType,
  Params extends z.ZodObject,
  Query extends z.ZodObject,
  Body extends z.ZodType,
> = (
  parts: Parts,
  request: EndpointRequest<R, z.output<Params>, z.output<Query>, z.output<Body>>,
) => Reply<z.output<Answer>> | Promise<Reply<z.output<Answer>>>

async function answerRequest<
  Parts,
  R extends Role,
  Answer extends z.ZodType,
  Params extends z.ZodObject,
  Query extends z.ZodObject,
  Body extends z.ZodType,
>(
  row: EndpointRow<R, Answer, Params, Query, Body>,
  handle: Handler<Parts, R, Answer, Params, Query, Body>,
  parts: Parts & AccessParts,
  c: Context,
): Promise<Response> {
  const { role, body, mayLackBody } = row
  const params: z.ZodObject = row.params ?? NO_FIELDS
  const query: z.ZodObject = row.query ?? NO_FIELDS
  const exchange = exchangeOf(c)
  const request = {
    sender: await SENDERS[role](parts, exchange),
    // A path that this app is mounted below may have parameters of its own.
    params: checked<Params>(params, fieldsOf(params, c.req.param())),
    query: checked<Query>(query, knownParameters(query, role, exchange, c.req.queries())),
    exchange,
    signal: c.req.raw.signal,
  }
  if (!body) return responseOf(await handle(parts, { ...request, body: async () => checked<Body>(NO_BODY, undefined) }))
  return withLease(parts.gate, async (lease) => {
    const read = async () => {
      const bytes = await readBody(row, exchange, parts.settings.MAX_BODY_BYTES, lease)
      return checked<Body>(
        body,
        isRaw(body) ? bytes : parseJson(mayLackBody && bytes.length === 0 ? EMPTY_OBJECT : bytes),
      )
    }
    return handle(parts, { ...request, body: read })
  })
}

/** Rejects as `readJsonBody` does. */
async function readBody(
  { maxBodyBytes, path }: Pick<EndpointRow<Role>, 'maxBodyBytes' | 'path'>,
  exchange: WebExchange,
  maxBytesOfSettings: number,
  lease: PermitLease,
): Promise<Buffer> {
  try {
    return await readJsonBody(exchange, maxBodyBytes ?? maxBytesOfSettings, lease)
  } catch (error) {
    const isTooLarge = error instanceof Problem && error.code === 'body_too_large'
    throw isTooLarge && maxBodyBytes !== undefined ? bodyTooLargeProblem(maxBodyBytes, path) : error
  }
}

/** Routes requests to endpoints. Errors are answered in the plain shape of problems. */
export function mount<Parts>(endpoints: readonly Endpoint<Parts>[], parts: Parts & AccessParts): Hono {
  const app = new Hono()
  app.onError((error) => problemResponse(error))
  for (const { method, path, alias, respond } of endpoints)
    app.on(method, alias === undefined ? [path] : [path, alias], (c) => respond(parts, c))
  return app
}

/** Finds the sender of a request, by role. Throws Problem `unauthenticated` or `forbidden`. */
const SENDERS: {
  readonly [R in Role]: (parts: AccessParts, exchange: WebExchange) => Senders[R] | Promise<Senders[R]>
} = {
  open: () => undefined,
  key: ({ viewers }, exchange) => viewers.identify(exchange),
  figures: ({ viewers }, exchange) => viewers.identifyForFigures(exchange),
  caller: async ({ callers }, exchange) => (await callers.identify(exchange)).caller,
  admin: ({ viewers }, exchange) => viewers.identifyAdministrator(exchange),
}

const isRaw = (schema: z.ZodType): boolean => schema === RAW_BODY

/** The value as the schema reads it. Throws Problem `invalid_request` with the place and what was expected there. */
export function checked<Schema extends z.ZodType>(schema: z.ZodType, value: unknown): z.output<Schema> {
  const read = schema.safeParse(value, { error: describeIssue })
  if (read.success) return read.data as z.output<Schema>
  const { field, text } = issueOf(read.error)
  throw new Problem('invalid_request', text, field)
}

/** The parameters that a handler reads. Throws Problem for one that it does not know, and for one that is there twice. */
function knownParameters(
  query: z.ZodObject,
  role: Role,
  exchange: WebExchange,
  given: Readonly<Record<string, readonly string[]>>,
) {
  const known = Object.keys(query.shape)
  const allowed = known.includes('key') || !mayHoldSecret(role, exchange, given.key) ? known : [...known, 'key']
  const unknown = Object.keys(given).find((name) => !allowed.includes(name))
  if (unknown !== undefined) {
    const name = truncate(unknown, MAX_SHOWN_CHARACTERS)
    const advice = allowed.length > 0 ? `Allowed here: ${allowed.join(', ')}.` : 'None are allowed here.'
    throw new Problem('invalid_request', `Unknown query parameter: ${name}. ${advice}`, name)
  }
  const twice = Object.keys(given).find((name) => given[name]?.length !== 1)
  if (twice !== undefined) throw new Problem('invalid_request', `Query parameter ${twice} must not stand twice.`, twice)
  return fieldsOf(query, Object.fromEntries(Object.entries(given).map(([name, [value = '']]) => [name, value])))
}

/**
 * Whether `?key=` may be the sender's secret, as SDKs of Google's send theirs. Figures and `/admin/` have no other secret than the one that
 * lets the sender in: beside that one, the parameter would name the key whose calls to show.
 */
function mayHoldSecret(role: Role, exchange: WebExchange, given: readonly string[] | undefined): boolean {
  if (role === 'open') return false
  if (role !== 'figures' && role !== 'admin') return true
  return given?.includes(secretInRequest(exchange) ?? '') ?? false
}

/** Those of the fields that the schema knows. */
function fieldsOf({ shape }: z.ZodObject, given: Readonly<Record<string, string>>): Record<string, string> {
  return Object.fromEntries(Object.entries(given).filter(([name]) => Object.hasOwn(shape, name)))
}

/**
 * Answers as soon as there is a reply, and keeps the lease until `holdsBodyUntil` resolves. That is why the response
 * has a promise of its own.
 */
function withLease<Answer>(
  gate: AccessParts['gate'],
  handle: (lease: PermitLease) => Promise<Reply<Answer>>,
): Promise<Response> {
  const response = Promise.withResolvers<Response>()
  gate
    .withBufferLease(async (lease) => {
      const reply = await handle(lease)
      response.resolve(responseOf(reply))
      await reply.holdsBodyUntil
    })
    .catch(response.reject)
  return response.promise
}

function parseJson(bytes: Buffer): Readonly<Record<string, unknown>> {
  const text = bytes.toString()
  if (hasMoreValuesThan(text, MAX_JSON_VALUES))
    throw new Problem('invalid_request', `The request has more than ${MAX_JSON_VALUES} values.`)
  const value = parseObject(text)
  if (!value) throw new Problem('invalid_json', 'The request body is not a JSON object.')
  return value
}

function responseOf<Answer>(reply: Reply<Answer>): Response {
  if ('response' in reply) return reply.response
  const { answer, status = 200, headers } = reply
  const isText = typeof answer === 'string'
  const type = isText ? 'text/plain; charset=utf-8' : 'application/json'
  return new Response(isText ? answer : JSON.stringify(answer), {
    status,
    headers: { 'content-type': type, ...headers },
  })
}
