// Gauge: settled solid, reserved hatched, free the empty track.

import { amountText } from './figures.tsx'

export interface Level {
  readonly unit: string
  readonly capacity: number
  readonly settled: number
  readonly reserved: number
  readonly free: number
}

/** From here on a limit counts as nearly used up. */
const HOT_SHARE = 0.95

export function isHot({ capacity, free }: Level): boolean {
  return capacity > 0 ? free / capacity < 1 - HOT_SHARE : free <= 0
}

/** @param name what it measures: `web, key, cost a day` */
export function Gauge({
  level,
  name,
  size,
}: {
  readonly level: Level
  readonly name: string
  readonly size?: 's' | 'l'
}) {
  const { unit, capacity, settled, reserved } = level
  const whole = Math.max(capacity, settled + reserved)
  const percent = (part: number) => (whole > 0 ? (part / whole) * 100 : 0)
  const [settledPercent, reservedPercent] = [percent(settled), percent(reserved)]
  return (
    // biome-ignore lint/a11y/useSemanticElements: <meter> has no second part for what is reserved.
    <div
      role="meter"
      aria-label={name}
      aria-valuemin={0}
      aria-valuemax={capacity}
      aria-valuenow={Math.min(settled + reserved, capacity)}
      aria-valuetext={levelText(level, unit)}
    >
      <svg className={size ? `bar ${size}` : 'bar'} aria-hidden="true" focusable="false">
        <rect className={isHot(level) ? 'hot' : 'set'} width={`${settledPercent}%`} height="100%" />
        {reserved > 0 && (
          // At least two pixels of a gauge of some 200.
          <rect
            fill={isHot(level) ? 'url(#h2)' : 'url(#h1)'}
            x={`${settledPercent}%`}
            width={`${Math.max(reservedPercent, 1)}%`}
            height="100%"
          />
        )}
        {reserved > 0 && settled > 0 && <rect className="edge" x={`${settledPercent}%`} width="1.5" height="100%" />}
      </svg>
    </div>
  )
}

function levelText({ capacity, settled, reserved, free }: Level, unit: string): string {
  const text = (value: number, rounding?: 'down') => amountText(unit, value, rounding)
  return `${text(settled)} settled, ${text(reserved)} reserved, ${text(free, 'down')} free of ${text(capacity)}`
}
