// Format: amounts, durations and times as people read them. Rounding never hides a limit: what is free is rounded down.

const NARROW_SPACE = '\u202f'
const MINUS = '\u2212'
const DIGITS = 3

const grouped = new Intl.NumberFormat('en-US')
const cents = new Intl.NumberFormat('en-US', { minimumFractionDigits: 2, maximumFractionDigits: 2 })

type Rounding = 'nearest' | 'down' | 'up'
const MODES = { nearest: 'halfExpand', down: 'floor', up: 'ceil' } as const
const centsBy = {
  nearest: cents,
  down: new Intl.NumberFormat('en-US', {
    minimumFractionDigits: 2,
    maximumFractionDigits: 2,
    roundingMode: MODES.down,
  }),
  up: new Intl.NumberFormat('en-US', { minimumFractionDigits: 2, maximumFractionDigits: 2, roundingMode: MODES.up }),
}
const smallBy = {
  nearest: smallMoney('nearest'),
  down: smallMoney('down'),
  up: smallMoney('up'),
}

function smallMoney(rounding: Rounding): Intl.NumberFormat {
  return new Intl.NumberFormat('en-US', { maximumSignificantDigits: DIGITS, roundingMode: MODES[rounding] })
}

/** Dollars: two decimals from a dollar on, three significant digits below: `$4,391.18`, `$0.74`, `$0.000123`, `$0`. */
export function money(dollars: number, rounding: Rounding = 'nearest'): string {
  if (dollars === 0) return '$0'
  const sign = dollars < 0 ? MINUS : ''
  const amount = Math.abs(dollars)
  if (amount >= 1) return `${sign}$${centsBy[rounding].format(amount)}`
  const text = smallBy[rounding].format(amount)
  const [whole = '0', fraction = ''] = text.split('.')
  return `${sign}$${whole}.${fraction.padEnd(2, '0')}`
}

/** Dollars with every digit: `$4391.184027113`. */
export function exactMoney(dollars: number): string {
  const text = dollars.toFixed(9).replace(/0+$/, '').replace(/\.$/, '')
  return text.startsWith('-') ? `${MINUS}$${text.slice(1)}` : `$${text}`
}

const compactBy = { nearest: compact('nearest'), down: compact('down'), up: compact('up') }

function compact(rounding: Rounding): Intl.NumberFormat {
  return new Intl.NumberFormat('en-US', {
    notation: 'compact',
    maximumSignificantDigits: DIGITS,
    roundingMode: MODES[rounding],
  })
}

/** A count: whole below 10,000, three significant digits above: `9,766`, `12.4 k`, `1.92 B`. */
export function count(value: number, rounding: Rounding = 'nearest'): string {
  const sign = value < 0 ? MINUS : ''
  const amount = Math.abs(value)
  if (amount < 10_000) return `${sign}${grouped.format(amount)}`
  const parts = compactBy[rounding].formatToParts(amount)
  const unit = parts.find(({ type }) => type === 'compact')?.value ?? ''
  const digits = parts.filter(({ type }) => type !== 'compact' && type !== 'literal').map((part) => part.value)
  return `${sign}${digits.join('')}${NARROW_SPACE}${unit.replace('K', 'k')}`
}

/** A rate, three significant digits at most: `3.57`, `0`. */
export function rate(value: number): string {
  return value >= 10_000 ? count(value) : smallBy.nearest.format(value)
}

/** A share of one, with one decimal: `11.2 %`. */
export function share(part: number): string {
  return `${(Math.round(part * 1000) / 10).toFixed(1).replace(/\.0$/, '')}${NARROW_SPACE}%`
}

/** Milliseconds: `2 ms`, `840 ms`, `6.1 s`, `10 h 27 min`, `3 d 4 h`. */
export function duration(ms: number): string {
  if (ms < 1000) return `${Math.round(ms)} ms`
  const tenths = Math.round(ms / 100)
  if (tenths < 600) return `${smallBy.nearest.format(tenths / 10)} s`
  const minutes = Math.floor(tenths / 600)
  if (minutes < 60) return `${minutes} min`
  const hours = Math.floor(minutes / 60)
  if (hours < 48) return minutes % 60 === 0 ? `${hours} h` : `${hours} h ${minutes % 60} min`
  const days = Math.floor(hours / 24)
  return hours % 24 === 0 ? `${days} d` : `${days} d ${hours % 24} h`
}

/** A time of today in the viewer's zone: `14:31:40`. */
export function clockTime(time: string | number | Date, withSeconds = true): string {
  return new Intl.DateTimeFormat('en-GB', {
    hour: '2-digit',
    minute: '2-digit',
    ...(withSeconds ? { second: '2-digit' } : {}),
  }).format(new Date(time))
}

/** A day in the viewer's zone: `23 Nov`. */
export function dateText(time: string): string {
  return new Intl.DateTimeFormat('en-GB', { day: 'numeric', month: 'short' }).format(new Date(time))
}

/** The change from an older figure: `↑ 12.4 % from $3,906.75`. */
export function change(now: number, before: number, shown: (value: number) => string): string {
  if (before === 0) return now === 0 ? `as before` : `from ${shown(0)}`
  const part = (now - before) / Math.abs(before)
  const arrow = part > 0 ? '↑' : part < 0 ? '↓' : '→'
  return `${arrow} ${share(Math.abs(part))} from ${shown(before)}`
}
