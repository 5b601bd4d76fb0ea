// Subjects and figures of rows in SQL, as `subjectOf` in core/limits.ts and limits count them.

import { NO_SUBJECT } from '../../core/limits.ts'
import type { Who } from '../../core/meter.ts'
import type { SumQuery } from '../store.ts'
import { TOKENS_SUM_SQL } from './usage-columns.ts'

const scopedSubjectSql = (column: string) =>
  `coalesce(key, '${NO_SUBJECT}') || '/' || coalesce(${column}, '${NO_SUBJECT}')`

/** `subjectOf` in SQL. */
export const SUBJECT_SQL: Readonly<Record<Who, string>> = {
  global: "''",
  organisation: `coalesce(organisation, '${NO_SUBJECT}')`,
  project: `coalesce(project, '${NO_SUBJECT}')`,
  key: `coalesce(key, '${NO_SUBJECT}')`,
  user: `iif(person = 1, user, ${scopedSubjectSql('user')})`,
  thread: scopedSubjectSql('thread'),
  agent: scopedSubjectSql('agent'),
  task: scopedSubjectSql('task'),
  model: "provider || '/' || model",
  provider: 'provider',
}

export const FIGURE_SQL: Readonly<Record<SumQuery['what'], string>> = {
  requests: 'iif(adjusts IS NULL, 1, 0)',
  tokens: `CASE WHEN settled_seq IS NULL THEN reserved_tokens ELSE ${TOKENS_SUM_SQL} END`,
  cost: 'CASE WHEN settled_seq IS NULL THEN reserved_cost_nano_usd ELSE cost_nano_usd END',
}
