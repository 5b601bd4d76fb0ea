// Hosted tools of a call: estimates, drops or refuses them, as the route or the setting says. Nothing is reserved yet.

import type { HostedToolsRule } from '../config/routes.ts'
import { Problem } from '../core/problem.ts'
import { withoutHostedTools } from '../wire/hosted-tools.ts'
import type { IncomingCall } from './candidates.ts'

/**
 * The call as the rule lets it go on. Throws Problem `unbounded_call` for a call that is refused, and for one whose tools cannot be
 * left out.
 * @param rule undefined if UNBOUNDED_CALLS alone decides
 */
export function withHostedToolsRule(call: IncomingCall, rule: HostedToolsRule | undefined): IncomingCall {
  const { hostedTools } = call.reading.facts
  if (hostedTools.length === 0 || rule === undefined || rule === 'estimate') return call
  if (rule === 'refuse')
    throw refusedTools(hostedTools, 'Leave them out, or set HOSTED_TOOLS=drop, which sends the call without them.')
  return dropHostedTools(call)
}

function dropHostedTools(call: IncomingCall): IncomingCall {
  const { dialect, exchange } = call
  const { body, dropped } = dialect.hostedTools
    ? withoutHostedTools(call.body, dialect.hostedTools)
    : { body: call.body, dropped: [] }
  const reading = dialect.readRequest(body, exchange)
  const { hostedTools } = reading.facts
  if (hostedTools.length > 0)
    throw refusedTools(hostedTools, 'HOSTED_TOOLS=drop cannot leave them out where they are. Leave them out yourself.')
  return { ...call, body, reading, dropped: [...call.dropped, ...dropped] }
}

function refusedTools(names: readonly string[], advice: string): Problem {
  const tools = names.join(', ')
  return new Problem(
    'unbounded_call',
    `The provider runs tools of this call, and their cost has no upper bound: ${tools}. ${advice}`,
  )
}
