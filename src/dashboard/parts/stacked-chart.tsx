// Stacked chart: sums over time as bars, one colour for each series and grey for all others; the legend is the read-out.

import { useMemo, useState } from 'react'
import uPlot from 'uplot'
import { ChartCard } from './chart-card.tsx'
import { type Colour, Plot, SHARED_CURSOR } from './plot.tsx'

export interface StackedSeries {
  readonly name: string
  readonly colour: Colour
  readonly values: readonly number[]
  readonly sum: number
}

interface StackedChartProps {
  readonly title: string
  readonly subtitle: string
  /** What each part is called: `Mon 23 Nov`. */
  readonly parts: readonly string[]
  readonly series: readonly StackedSeries[]
  readonly total: { readonly values: readonly number[]; readonly sum: number }
  /** The period before, part by part. */
  readonly before: { readonly values: readonly number[]; readonly sum: number } | undefined
  /** Names of series that are not shown. */
  readonly hidden: ReadonlySet<string>
  readonly onHide: (hidden: ReadonlySet<string>) => void
  readonly shown: (value: number) => string
}

const HEIGHT_PX = 300

export function StackedChart(props: StackedChartProps) {
  const { title, subtitle, parts, series, before, hidden, shown } = props
  const [pointed, setPointed] = useState<number>()
  const visible = useMemo(() => series.filter(({ name }) => !hidden.has(name)), [series, hidden])
  const data = useMemo(() => dataOf(parts.length, visible, before?.values), [parts, visible, before])
  return (
    <ChartCard
      title={title}
      subtitle={subtitle}
      table={<PartTable {...props} />}
      chart={
        <div className="body withkeys">
          <Plot
            label={labelOf(props)}
            heightPx={HEIGHT_PX}
            data={data}
            identity={`${visible.map(({ name, colour }) => name + colour).join()} ${before !== undefined} ${parts.join()}`}
            options={(colourOf, font) => optionsOf(visible, parts, before !== undefined, shown, colourOf, font)}
            onPoint={setPointed}
          />
          <Legend {...props} pointed={pointed} />
        </div>
      }
    />
  )
}

function labelOf({ title, parts, total, shown }: StackedChartProps): string {
  const most = Math.max(...total.values, 0)
  const when = parts[total.values.indexOf(most)] ?? ''
  const range = parts.length > 0 ? `${parts[0]} to ${parts.at(-1)}` : ''
  return `${title}, ${range}: ${shown(total.sum)} in all, at most ${shown(most)} (${when}). The table has every figure.`
}

function Legend({
  parts,
  series,
  total,
  before,
  hidden,
  onHide,
  shown,
  pointed,
}: StackedChartProps & { readonly pointed: number | undefined }) {
  const at = (values: readonly number[], sum: number) => shown(pointed === undefined ? sum : (values[pointed] ?? 0))
  const press = (name: string, presses: number) => {
    const others = series.filter((one) => one.name !== name).map((one) => one.name)
    if (presses >= 2) return onHide(new Set(others.every((other) => hidden.has(other)) ? [] : others))
    const next = new Set(hidden)
    if (!next.delete(name)) next.add(name)
    onHide(next)
  }
  return (
    <div className="keys">
      <p className="read">
        <b>{pointed === undefined ? 'whole period' : parts[pointed]}</b>
      </p>
      {series.map(({ name, colour, values, sum }) => (
        <button
          key={name}
          type="button"
          aria-pressed={!hidden.has(name)}
          title="Press to hide, twice to show alone"
          onClick={({ detail }) => press(name, detail)}
        >
          <svg className="sw" aria-hidden="true">
            <rect className={`fill-${colour.slice(2)}`} width="12" height="12" />
          </svg>
          <span className="n">{name}</span>
          <span>{at(values, sum)}</span>
        </button>
      ))}
      <p className="sum">
        <b>all</b>
        <b>{at(total.values, total.sum)}</b>
      </p>
      {before && (
        <p className="sum">
          <span>
            <svg className="dash" aria-hidden="true">
              <path d="M0 1h20" />
            </svg>
            period before
          </span>
          <span>{at(before.values, before.sum)}</span>
        </p>
      )}
    </div>
  )
}

/** Stacked from the bottom: uPlot draws the highest sum first, and the lower ones over it. */
function dataOf(
  count: number,
  series: readonly StackedSeries[],
  before: readonly number[] | undefined,
): uPlot.AlignedData {
  const places = Array.from({ length: count }, (_, index) => index)
  const stacked: number[][] = []
  let below = places.map(() => 0)
  for (const { values } of series) {
    below = below.map((sum, index) => sum + (values[index] ?? 0))
    stacked.push(below)
  }
  return [places, ...stacked.toReversed(), ...(before ? [places.map((index) => before[index] ?? null)] : [])]
}

function optionsOf(
  series: readonly StackedSeries[],
  parts: readonly string[],
  hasBefore: boolean,
  shown: (value: number) => string,
  colourOf: (colour: Colour) => string,
  font: string,
): Omit<uPlot.Options, 'width' | 'height'> {
  const [text, line, surface] = [colourOf('--text-2'), colourOf('--line'), colourOf('--surface')]
  const { bars } = uPlot.paths
  return {
    cursor: SHARED_CURSOR,
    scales: {
      x: { time: false, range: (_plot, min, max) => [min - 0.5, max + 0.5] },
      y: { range: (_plot, _min, max) => [0, max > 0 ? max * 1.08 : 1] },
    },
    axes: [
      {
        stroke: text,
        font,
        size: 28,
        space: 90,
        grid: { show: false },
        ticks: { show: false },
        incrs: [1, 2, 3, 5, 7, 10, 14, 24, 30, 48, 60, 96, 192],
        values: (_plot, places) => places.map((place) => parts[place] ?? ''),
      },
      {
        stroke: text,
        font,
        size: 62,
        space: 50,
        grid: { stroke: line, width: 1 },
        ticks: { show: false },
        values: (_plot, values) => values.map((value) => shown(value)),
      },
    ],
    series: [
      {},
      ...series.toReversed().map(({ name, colour }) => ({
        label: name,
        fill: colourOf(colour),
        stroke: surface,
        width: 1,
        points: { show: false },
        ...(bars ? { paths: bars({ size: [0.78, 60] }) } : {}),
      })),
      ...(hasBefore
        ? [{ label: 'period before', stroke: colourOf('--text'), width: 1.5, dash: [5, 4], points: { show: false } }]
        : []),
    ],
  }
}

function PartTable({ title, parts, series, total, before, shown }: StackedChartProps) {
  return (
    <div className="scroll tall">
      <table>
        <caption className="vh">{title}</caption>
        <thead>
          <tr>
            <th scope="col">Part</th>
            {series.map(({ name }) => (
              <th key={name} scope="col" className="num">
                {name}
              </th>
            ))}
            <th scope="col" className="num">
              all
            </th>
            {before && (
              <th scope="col" className="num">
                period before
              </th>
            )}
          </tr>
        </thead>
        <tbody>
          {parts.map((part, index) => (
            // biome-ignore lint/suspicious/noArrayIndexKey: an hour comes twice on the day on which the clock turns back.
            <tr key={index}>
              <th scope="row">{part}</th>
              {series.map(({ name, values }) => (
                <td key={name} className="num">
                  {shown(values[index] ?? 0)}
                </td>
              ))}
              <td className="num">{shown(total.values[index] ?? 0)}</td>
              {before && (
                <td className="num">{before.values[index] === undefined ? '–' : shown(before.values[index])}</td>
              )}
            </tr>
          ))}
        </tbody>
        <tfoot>
          <tr className="total">
            <th scope="row">all</th>
            {series.map(({ name, sum }) => (
              <td key={name} className="num">
                {shown(sum)}
              </td>
            ))}
            <td className="num">{shown(total.sum)}</td>
            {before && <td className="num">{shown(before.sum)}</td>}
          </tr>
        </tfoot>
      </table>
    </div>
  )
}
