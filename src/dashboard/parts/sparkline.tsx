// Sparkline: the course of a figure over the last hour, without its scale. The figure beside it says how much.

export function Sparkline({ values, isBad = false }: { readonly values: readonly number[]; readonly isBad?: boolean }) {
  const most = Math.max(...values, 0)
  const points = values.map((value, index) => {
    const x = values.length > 1 ? (index / (values.length - 1)) * 100 : 0
    const y = most > 0 ? 100 - (value / most) * 90 : 100
    return `${x.toFixed(2)} ${y.toFixed(2)}`
  })
  if (points.length === 0) return null
  const line = `M${points.join('L')}`
  return (
    <svg className={isBad ? 'spark bad' : 'spark'} viewBox="0 0 100 100" preserveAspectRatio="none" aria-hidden="true">
      <path className="area" d={`${line}L100 100L0 100Z`} />
      <path d={line} />
    </svg>
  )
}
