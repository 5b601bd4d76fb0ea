// JSON body: reads the body of a request and checks what can be known without parsing it. It never parses it.

import { isUtf8 } from 'node:buffer'
import type { PermitLease } from '../core/permits.ts'
import { Problem } from '../core/problem.ts'
import type { Exchange } from './exchange.ts'

/**
 * Reads the body of a request; call it once. Rejects with Problem `unsupported_media_type` for another content type or a
 * compressed body, `invalid_json` for bytes that are not UTF-8, and as `Exchange.body` does.
 */
export async function readJsonBody(exchange: Exchange, maxBytes: number, lease: PermitLease): Promise<Buffer> {
  const type = exchange.header('content-type')
  if (type !== undefined && !/^application\/([\w.-]+\+)?json\b/i.test(type)) {
    throw new Problem('unsupported_media_type', 'The content type must be application/json.')
  }
  const encoding = exchange.header('content-encoding')
  if (encoding !== undefined && encoding !== 'identity') {
    throw new Problem('unsupported_media_type', 'Compressed request bodies are not accepted.')
  }
  const body = await exchange.body(maxBytes, lease)
  if (!isUtf8(body)) throw new Problem('invalid_json', 'The request body is not valid UTF-8.')
  return body
}
