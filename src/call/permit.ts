// Permit: what a key lets a call do, between who calls and where the call goes. It reads no registry and changes nothing.

import { shown } from '../config/findings.ts'
import { Problem } from '../core/problem.ts'
import { declaredItems, declaredOperation } from '../keys/callers.ts'
import type { RequiredName } from '../keys/key-record.ts'
import { MODEL_CHOICES } from '../wire/request-reader.ts'
import type { IncomingCall } from './candidates.ts'

/** How a call declares what its key requires. Organisation and project are those of the key. */
const WAYS_TO_DECLARE: Readonly<Record<RequiredName, string>> = {
  organisation: 'an administrator has to set the organisation of the key',
  project: 'an administrator has to set the project of the key',
  user: 'send the header x-bursar-user',
  thread: 'send the header x-bursar-thread',
  agent: 'send the header x-bursar-agent',
  task: 'send the header x-bursar-task',
  operation: 'send the header x-bursar-operation',
}

/** Throws Problem `invalid_request` for a call that does not declare what its key requires, and for items that are no count. */
export function checkDeclared({ key, caller, exchange }: IncomingCall): void {
  declaredItems(exchange)
  if (key === undefined || key.requires.length === 0) return
  for (const name of key.requires) {
    const declared = name === 'operation' ? declaredOperation(exchange) : caller[name]
    if (declared === null)
      throw new Problem(
        'invalid_request',
        `This API key requires a call to have its ${name}: ${WAYS_TO_DECLARE[name]}.`,
        name,
      )
  }
}

/** A target, as far as permission depends on it. */
interface PermittedTarget {
  readonly provider: { readonly name: string }
  readonly model: string
}

/** Fields by which a provider may answer with another model than the call names. */
const MODEL_FIELDS: ReadonlySet<string> = new Set(MODEL_CHOICES)
/** Anthropic's tool that asks another model, which the tool names. */
const MODEL_TOOL = /^advisor_/

/**
 * The targets that the key of a call may use, in order. Throws Problem `forbidden` if there is none.
 * @param model as the caller wrote it
 * @param isAlias the caller named an alias
 */
export function permittedTargets<Target extends PermittedTarget>(
  { key, dialect, reading }: Pick<IncomingCall, 'key' | 'dialect' | 'reading'>,
  targets: readonly [Target, ...Target[]],
  model: string,
  isAlias: boolean,
): readonly [Target, ...Target[]] {
  const permitted = key?.permitted
  if (permitted === undefined) return targets
  const alias = isAlias ? model : undefined
  const choice = reading.facts.unbounded.find((name) => MODEL_FIELDS.has(name) || MODEL_TOOL.test(name))
  const mayUse = (target: Target) => {
    const { name } = target.provider
    if (dialect.namesModel === false) return permitted.permitsProvider(name)
    return permitted.permits(name, target.model, alias) && (choice === undefined || permitted.permitsEveryModel(name))
  }
  const [first, ...others] = targets.filter(mayUse)
  if (first) return [first, ...others]
  const what = choice === undefined ? shown(model) : `${shown(model)} with ${choice}, which names further models`
  const message = `This API key may not use ${what}. It may use ${permitted.text}.`
  throw new Problem('forbidden', message, choice ?? 'model', { retry: false })
}
