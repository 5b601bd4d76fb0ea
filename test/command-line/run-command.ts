// Runs a command as the process would, against a gateway, files and a terminal that a test makes up.

import { readRequest, runCommand } from '../../src/command-line/index.ts'

const NOW_MS = Date.parse('2026-11-30T12:00:00Z')

/** A request as the gateway receives it. */
export interface Received {
  readonly url: string
  readonly method: string
  readonly headers: Readonly<Record<string, string>>
  readonly redirect: string
  readonly body: unknown
}

export interface Situation {
  readonly status?: number
  /** JSON, or text that is none. */
  readonly answer?: unknown
  readonly url?: string
  readonly adminKey?: string
  readonly callerKey?: string
  readonly files?: Readonly<Record<string, string>>
  readonly input?: string
  readonly failure?: Error
  /** The answer to a request; undefined for `answer`. */
  readonly answerTo?: (request: Received) => Response | undefined
  /** Thrown when the command writes. */
  readonly writeFailure?: Error
}

export async function run(line: readonly string[], situation: Situation = {}) {
  const received: Received[] = []
  const progress: string[] = []
  const written = { output: '', files: {} as Record<string, string>, discarded: [] as string[] }
  const { status = 200, answer = {}, files = {}, failure } = situation
  const request = readRequest(line)
  if (request.kind !== 'command') throw new Error(`${line.join(' ')} is no command`)
  const result = await runCommand(request.command, request.args, {
    url: situation.url,
    adminKey: situation.adminKey,
    callerKey: situation.callerKey,
    nowMs: NOW_MS,
    files: {
      read: async (path) => files[path] ?? '',
      readInput: async () => situation.input,
      create: async (path) => {
        let content = ''
        return {
          write: async (chunk) => {
            if (situation.writeFailure) throw situation.writeFailure
            content += Buffer.from(chunk).toString()
          },
          keep: async () => void (written.files[path] = content),
          discard: async () => void written.discarded.push(path),
        }
      },
    },
    terminal: {
      output: { write: async (chunk) => void (written.output += Buffer.from(chunk).toString()) },
      progress: (text) => progress.push(text),
    },
    fetch: async (input, init) => {
      if (failure) throw failure
      const sent = new Request(input, init)
      const text = await sent.text()
      const request = {
        url: sent.url,
        method: sent.method,
        redirect: sent.redirect,
        headers: Object.fromEntries(sent.headers),
        body: text.startsWith('{') && text.endsWith('}') ? JSON.parse(text) : text,
      }
      received.push(request)
      const given = situation.answerTo?.(request)
      if (given) return given
      const written = typeof answer === 'string' ? answer : JSON.stringify(answer)
      return new Response(written, { status })
    },
  })
  return { ...result, received, progress, written, sent: received[0] }
}

/** A table, in chunks. The answer breaks off after them if `failure` is given. */
export function tableResponse(chunks: string | readonly string[], failure?: Error): Response {
  const parts = [chunks].flat()
  const body = new ReadableStream<Uint8Array>({
    pull(sink) {
      const part = parts.shift()
      if (part !== undefined) sink.enqueue(Buffer.from(part))
      else if (failure) sink.error(failure)
      else sink.close()
    },
  })
  return new Response(body, { headers: { 'content-type': 'text/csv; charset=utf-8; header=present' } })
}
