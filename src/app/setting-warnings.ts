// Setting warnings: settings that are right and may not be what somebody means.

import { EMPTY_FILE_CONFIG } from '../config/file.ts'
import { isExposed, SETTINGS } from '../config/settings.ts'
import type { Notice, NoticeCode } from '../telemetry/call-events.ts'
import type { Configuration } from './load-configuration.ts'

/**
 * The warnings of a server that is about to listen.
 * @param hasMadeKeys whether a key was ever made, so that every call needs one
 */
export function settingWarnings({ settings, file }: Configuration, hasMadeKeys = false): readonly Notice[] {
  const notices: Notice[] = []
  const warn = (code: NoticeCode, message: string, details: Notice['details'] = {}) =>
    notices.push({ code, level: 'warn', message, details })
  const { CONFIG_FILE, ENABLE_COST_TRACKING, AUTH, BURSAR_KEYS, ADMIN_KEY } = settings
  if (file === EMPTY_FILE_CONFIG && CONFIG_FILE !== SETTINGS.CONFIG_FILE.defaultText) {
    const message = 'CONFIG_FILE names a file that does not exist. The gateway reads the file once it exists.'
    warn('setting_ignored', message, { setting: 'CONFIG_FILE', file: CONFIG_FILE })
  }
  if (!ENABLE_COST_TRACKING)
    warn('cost_not_limited', 'ENABLE_COST_TRACKING=false: calls are neither priced nor limited by cost.')
  if (BURSAR_KEYS.length > 0 || hasMadeKeys) return notices
  if (AUTH === 'off') warn('open_to_everyone', 'AUTH=off and no BURSAR_KEYS: everyone who reaches this port can spend.')
  else if (ADMIN_KEY !== '' && !isExposed(settings)) {
    const message =
      'ADMIN_KEY is set and BURSAR_KEYS is not: figures need ADMIN_KEY, and calls need no key until one is made.'
    warn('calls_need_no_key', message)
  }
  return notices
}
