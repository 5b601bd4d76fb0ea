// bursar estimate: what a call would reserve, and whether it fits now.

import type { Command } from './command.ts'
import { UsageError } from './errors.ts'
import { amountText, cellOf, fieldsText, recordsIn, tableText } from './format.ts'

export const ESTIMATE: Command = {
  name: 'estimate',
  summary: 'What a call would reserve, and whether it fits now. Nothing is reserved or sent.',
  details:
    'The body of the call is read from --file or from standard input. The call is that of BURSAR_CALLER_KEY, a key that makes calls;\nwithout keys, that of anyone.',
  options: {
    file: { type: 'string', value: 'FILE', text: 'The JSON body of the call. Without it: standard input.' },
    path: { type: 'string', value: 'PATH', text: 'The path of the call. Without it: /v1/chat/completions.' },
  },
  examples: [
    'bursar estimate < request.json',
    'bursar estimate --file request.json --path /v1/messages',
    `echo '{"model":"sim/echo","messages":[{"role":"user","content":"hello"}]}' | bursar estimate --json`,
  ],
  run: async ({ options, client, files }) => {
    const file = options.text('file')
    const text = file === undefined ? await files.readInput() : await files.read(file)
    if (text === undefined || text.trim() === '')
      throw new UsageError('estimate needs the body of a call: bursar estimate < request.json, or --file request.json.')
    const path = options.text('path')
    const query = path === undefined ? '' : `?path=${encodeURIComponent(path)}`
    const { json, value } = await client.send('POST', `/llm/estimate${query}`, { text, as: 'caller' })
    const { limits, ...quote } = value
    return { json, text: `${fieldsText(quote)}\n${checksText(limits)}` }
  },
}

function checksText(limits: unknown): string {
  const rows = recordsIn(limits).map(({ limit, subject, unit, needed, free, capacity, fits }) => {
    const amounts = [needed, free, capacity].map((amount) => amountText(amount, unit))
    return [cellOf(limit), cellOf(subject), cellOf(unit), ...amounts, fits === true ? 'yes' : 'no']
  })
  return tableText(['LIMIT', 'SUBJECT', 'UNIT', 'NEEDED', 'FREE', 'OF', 'FITS'], rows)
}
