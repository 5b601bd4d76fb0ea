// Figures: amounts as people read them, with every digit on hover and for those who copy.

import { count, exactMoney, money } from '../data/format.ts'

type Rounding = 'nearest' | 'down' | 'up'

export function Money({ usd, rounding = 'nearest' }: { readonly usd: number; readonly rounding?: Rounding }) {
  return (
    <data value={usd} title={exactMoney(usd)}>
      {money(usd, rounding)}
    </data>
  )
}

export function Count({ value, rounding = 'nearest' }: { readonly value: number; readonly rounding?: Rounding }) {
  return (
    <data value={value} title={String(value)}>
      {count(value, rounding)}
    </data>
  )
}

/** An amount in the unit of a limit. */
export function Amount({
  unit,
  value,
  rounding = 'nearest',
}: {
  readonly unit: string
  readonly value: number
  readonly rounding?: Rounding
}) {
  return unit === 'usd' ? <Money usd={value} rounding={rounding} /> : <Count value={value} rounding={rounding} />
}

export function amountText(unit: string, value: number, rounding: Rounding = 'nearest'): string {
  return unit === 'usd' ? money(value, rounding) : count(value, rounding)
}
