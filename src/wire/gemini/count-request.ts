// Count request: the request for Gemini's count of a call's input tokens.

import type { CountRequest } from '../dialect.ts'
import { JsonCursor } from '../json/cursor.ts'
import { applySplices, memberInsertion } from '../json/edit.ts'
import { ObjectReader } from '../json/object-reader.ts'

const BODY = new ObjectReader<{ hasModel: boolean }>({
  model(json, found) {
    found.hasModel = true
    json.skipValue()
  },
})

/** Undefined if the call cannot be counted whole: its body names a model itself. @param model as the provider names it */
export function geminiCountRequest(body: Buffer, model: string): CountRequest | undefined {
  const json = new JsonCursor(body)
  const membersStart = json.position + 1
  const found = { hasModel: false }
  const members = BODY.read(json, found)
  if (found.hasModel) return undefined
  const modelMember = `"model":${JSON.stringify(`models/${model}`)}`
  const request = applySplices(body, [memberInsertion(membersStart, modelMember, members === 0)])
  return {
    dialect: 'gemini.countTokens',
    path: `/v1beta/models/${encodeURIComponent(model)}:countTokens`,
    body: Buffer.concat([Buffer.from('{"generateContentRequest":'), request, Buffer.from('}')]),
  }
}
