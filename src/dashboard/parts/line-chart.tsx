// Line chart: rates over time on a canvas, with the legend as the read-out, a crosshair shared by the page, and a table beside.

import { useMemo, useState } from 'react'
import type uPlot from 'uplot'
import { clockTime } from '../data/format.ts'
import { ChartCard } from './chart-card.tsx'
import { type Colour, Plot, SHARED_CURSOR } from './plot.tsx'

export interface Series {
  readonly name: string
  readonly colour: Colour
  readonly values: readonly number[]
}

interface LineChartProps {
  readonly title: string
  readonly subtitle: string
  /** Epoch milliseconds of the beginning of each span. */
  readonly times: readonly number[]
  readonly series: readonly Series[]
  readonly shown: (value: number) => string
}

const HEIGHT_PX = 190

export function LineChart({ title, subtitle, times, series, shown }: LineChartProps) {
  const [pointed, setPointed] = useState<number>()
  const index = pointed !== undefined && pointed < times.length ? pointed : times.length - 1
  const time = times[index]
  const data = useMemo(
    (): uPlot.AlignedData => [times.map((at) => at / 1000), ...series.map(({ values }) => [...values])],
    [times, series],
  )
  return (
    <ChartCard
      title={title}
      subtitle={subtitle}
      table={<MinuteTable title={title} times={times} series={series} shown={shown} />}
      chart={
        <>
          <p className="readout">
            <b>{time === undefined ? '' : clockTime(time, false)}</b>
            {series.map(({ name, colour, values }) => (
              <span key={name}>
                <svg className="sw" aria-hidden="true">
                  <rect className={`fill-${colour.slice(2)}`} width="12" height="12" />
                </svg>
                {name} <b>{shown(values[index] ?? 0)}</b>
              </span>
            ))}
          </p>
          <Plot
            label={labelOf(title, times, series, shown)}
            heightPx={HEIGHT_PX}
            data={data}
            identity={series.map(({ name }) => name).join()}
            options={(colourOf, font) => optionsOf(series, shown, colourOf, font)}
            onPoint={setPointed}
          />
        </>
      }
    />
  )
}

function labelOf(title: string, times: readonly number[], series: readonly Series[], shown: (value: number) => string) {
  const [first, last] = [times[0], times.at(-1)]
  if (first === undefined || last === undefined) return title
  const most = series.map(({ name, values }) => `${name} at most ${shown(Math.max(...values))}`).join(', ')
  return `${title}, ${clockTime(first, false)} to ${clockTime(last, false)}: ${most}. The table has every figure.`
}

function optionsOf(
  series: readonly Series[],
  shown: (value: number) => string,
  colourOf: (colour: Colour) => string,
  font: string,
): Omit<uPlot.Options, 'width' | 'height'> {
  const [text, line] = [colourOf('--text-2'), colourOf('--line')]
  return {
    cursor: SHARED_CURSOR,
    scales: { y: { range: (_plot, _min, max) => [0, max > 0 ? max * 1.1 : 1] } },
    axes: [
      {
        stroke: text,
        font,
        size: 28,
        space: 80,
        grid: { show: false },
        ticks: { show: false },
        values: (_plot, seconds) => seconds.map((second) => clockTime(second * 1000, false)),
      },
      {
        stroke: text,
        font,
        size: 58,
        space: 36,
        grid: { stroke: line, width: 1 },
        ticks: { show: false },
        values: (_plot, values) => values.map((value) => shown(value)),
      },
    ],
    series: [
      {},
      ...series.map(({ name, colour }, index) => ({
        label: name,
        stroke: colourOf(colour),
        width: 2,
        points: { show: false },
        ...(index === 0 ? { fill: colourOf('--accent-soft') } : {}),
      })),
    ],
  }
}

function MinuteTable({ title, times, series, shown }: Omit<LineChartProps, 'subtitle'>) {
  return (
    <div className="scroll short">
      <table>
        <caption className="vh">{title}</caption>
        <thead>
          <tr>
            <th scope="col">Minute</th>
            {series.map(({ name }) => (
              <th key={name} scope="col" className="num">
                {name}
              </th>
            ))}
          </tr>
        </thead>
        <tbody>
          {times.toReversed().map((time, index) => (
            <tr key={time}>
              <th scope="row">{clockTime(time, false)}</th>
              {series.map(({ name, values }) => (
                <td key={name} className="num">
                  {shown(values[times.length - 1 - index] ?? 0)}
                </td>
              ))}
            </tr>
          ))}
        </tbody>
      </table>
    </div>
  )
}
