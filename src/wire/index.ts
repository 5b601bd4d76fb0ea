// Dialects: the list of all dialects. Only this file knows them all: routes, names and count requests are derived from its list.

import { anthropicCountTokens } from './anthropic/count-tokens.ts'
import { anthropicMessages } from './anthropic/messages.ts'
import type { CountRequest, Dialect } from './dialect.ts'
import { geminiCountTokens } from './gemini/count-tokens.ts'
import { geminiEmbed } from './gemini/embed.ts'
import { geminiGenerate } from './gemini/generate.ts'
import { openaiChat } from './openai/chat.ts'
import { openaiCompletions } from './openai/completions.ts'
import { openaiEmbeddings } from './openai/embeddings.ts'
import { openaiResponses } from './openai/responses.ts'
import { openaiStored } from './openai/stored.ts'

/** All dialects, in the order in which paths are matched: most calls are chat. */
const DIALECTS = [
  openaiChat,
  openaiCompletions,
  openaiEmbeddings,
  openaiResponses,
  openaiStored,
  anthropicMessages,
  anthropicCountTokens,
  geminiGenerate,
  geminiCountTokens,
  geminiEmbed,
] as const

/** The name of a dialect: `openai.chat`. */
export type DialectName = (typeof DIALECTS)[number]['name']

const DIALECT_BY_NAME: ReadonlyMap<string, Dialect> = new Map(DIALECTS.map((dialect) => [dialect.name, dialect]))

/** Methods and routes of all calls, in the router's syntax. Several dialects may share a route: `servedDialect` decides. */
export const CALL_ROUTES: readonly (readonly [method: string, route: string])[] = routesOf(DIALECTS)

/** The methods and routes of these dialects, each once. */
export function routesOf(dialects: readonly Dialect[]): (readonly [method: string, route: string])[] {
  const routes = dialects.flatMap(({ endpoint }) =>
    endpoint.routes.flatMap((route) => endpoint.methods.map((method) => [method, route] as const)),
  )
  return [...new Map(routes.map((pair) => [pair.join(' '), pair])).values()]
}

/** The dialect of a request to the gateway; undefined if the request is no call. */
export function servedDialect(
  method: string,
  path: string,
  dialects: readonly Dialect[] = DIALECTS,
): Dialect | undefined {
  for (const dialect of dialects) if (dialect.endpoint.serves(method, path)) return dialect
  return undefined
}

/** The dialect of a call to a model, by its path below any prefix; undefined for any other path. */
export function dialectAt(path: string, dialects: readonly Dialect[] = DIALECTS): Dialect | undefined {
  for (const dialect of dialects) if (dialect.endpoint.matches(path)) return dialect
  return undefined
}

/** True for the path of a call as some servers read it: in any case, with more slashes, with blanks, or with `;` and a parameter. */
export function resemblesCall(path: string, dialects: readonly Dialect[] = DIALECTS): boolean {
  const plain = path
    .toLowerCase()
    .replace(/;[^/]*|\s/g, '')
    .replace(/\/{2,}/g, '/')
  const bare = plain.endsWith('/') ? plain.slice(0, -1) : plain
  return dialects.some(({ endpoint }) => endpoint.endings.some((ending) => bare.endsWith(ending.toLowerCase())))
}

/** The dialect in whose form problems are answered at a path that is no call's. */
export function nearestDialect(path: string): Dialect {
  return DIALECTS.find((dialect: Dialect) => dialect.isNearestTo?.(path)) ?? openaiChat
}

/** The names of the dialects that a vendor speaks, the one that its models are known by first. */
export function dialectNamesOf(vendor: 'openai' | 'anthropic' | 'gemini'): readonly DialectName[] {
  return DIALECTS.map(({ name }) => name).filter((name) => name.startsWith(`${vendor}.`))
}

/** The dialect with this name. */
export function dialectNamed(name: DialectName): Dialect {
  const dialect = DIALECT_BY_NAME.get(name)
  if (!dialect) throw new Error(`there is no dialect ${name}`)
  return dialect
}

/** The path of a dialect's calls, for people. */
export function shownPathOf(name: string): string {
  return DIALECT_BY_NAME.get(name)?.endpoint.shownPath ?? name
}

/** True if a dialect has this name. */
export function isDialectName(name: string): name is DialectName {
  return DIALECT_BY_NAME.has(name)
}

/**
 * The request for the number of input tokens of a call. Undefined if no provider counts calls in this
 * dialect, or if this call cannot be counted whole. Throws Problem for a body that cannot be read.
 * @param model as the provider names it
 */
export function countRequestFor(dialect: string, body: Buffer, model: string): CountRequest | undefined {
  return DIALECT_BY_NAME.get(dialect)?.countRequest?.(body, model)
}
