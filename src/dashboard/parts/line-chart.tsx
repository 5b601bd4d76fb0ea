// Line chart: rates over time on a canvas, with the legend as the read-out, a crosshair shared by the page, and a table beside.

import { useEffect, useId, useLayoutEffect, useRef, useState } from 'react'
import uPlot from 'uplot'
import 'uplot/dist/uPlot.min.css'
import { clockTime } from '../data/format.ts'
import { Segments } from './segments.tsx'

export interface Series {
  readonly name: string
  /** A colour of the style sheet: `--s1`. */
  readonly colour: `--${string}`
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
const SHARED_CURSOR = uPlot.sync('page')

export function LineChart({ title, subtitle, times, series, shown }: LineChartProps) {
  const [view, setView] = useState<'chart' | 'table'>('chart')
  const [pointed, setPointed] = useState<number>()
  const heading = useId()
  const index = pointed !== undefined && pointed < times.length ? pointed : times.length - 1
  const time = times[index]
  return (
    <section className="card" aria-labelledby={heading}>
      <header>
        <h2 id={heading}>{title}</h2>
        <p>{subtitle}</p>
        <div className="end">
          <Segments
            label={`${title}: chart or table`}
            choices={[
              ['chart', 'Chart'],
              ['table', 'Table'],
            ]}
            chosen={view}
            onChoose={setView}
          />
        </div>
      </header>
      {view === 'table' ? (
        <MinuteTable title={title} times={times} series={series} shown={shown} />
      ) : (
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
            times={times}
            series={series}
            shown={shown}
            onPoint={setPointed}
          />
        </>
      )}
    </section>
  )
}

function labelOf(title: string, times: readonly number[], series: readonly Series[], shown: (value: number) => string) {
  const [first, last] = [times[0], times.at(-1)]
  if (first === undefined || last === undefined) return title
  const most = series.map(({ name, values }) => `${name} at most ${shown(Math.max(...values))}`).join(', ')
  return `${title}, ${clockTime(first, false)} to ${clockTime(last, false)}: ${most}. The table has every figure.`
}

interface PlotProps extends Pick<LineChartProps, 'times' | 'series' | 'shown'> {
  readonly label: string
  readonly onPoint: (index: number | undefined) => void
}

function Plot({ label, times, series, shown, onPoint }: PlotProps) {
  const place = useRef<HTMLDivElement>(null)
  const plot = useRef<uPlot>(undefined)
  const point = useRef(onPoint)
  point.current = onPoint
  const scheme = useColourScheme()
  const names = series.map(({ name }) => name).join()

  // biome-ignore lint/correctness/useExhaustiveDependencies: the plot is made anew for other series or colours, and not for other values.
  useLayoutEffect(() => {
    const element = place.current
    if (!element) return
    const made = new uPlot(
      optionsOf(element, series, shown, (index) => point.current(index)),
      dataOf(times, series),
      element,
    )
    plot.current = made
    const resized = new ResizeObserver(() => made.setSize({ width: element.clientWidth, height: HEIGHT_PX }))
    resized.observe(element)
    return () => {
      resized.disconnect()
      made.destroy()
      plot.current = undefined
    }
  }, [names, scheme])

  useEffect(() => {
    // While hidden nothing is drawn; the next change draws everything.
    if (!document.hidden) plot.current?.setData(dataOf(times, series))
  }, [times, series])

  const move = (step: number) => {
    const made = plot.current
    if (!made) return
    const index = Math.min(Math.max((made.cursor.idx ?? times.length) + step, 0), times.length - 1)
    made.setCursor({ left: made.valToPos((times[index] ?? 0) / 1000, 'x'), top: 10 })
  }
  return (
    <div
      ref={place}
      className="plot"
      role="img"
      aria-label={label}
      // biome-ignore lint/a11y/noNoninteractiveTabindex: the arrow keys move the crosshair.
      tabIndex={0}
      onKeyDown={({ key }) => {
        if (key === 'ArrowLeft') move(-1)
        if (key === 'ArrowRight') move(1)
      }}
    />
  )
}

function dataOf(times: readonly number[], series: readonly Series[]): uPlot.AlignedData {
  return [times.map((time) => time / 1000), ...series.map(({ values }) => [...values])]
}

/** A colour of the style sheet, as the canvas needs it. */
function colourOf(element: Element, name: string): string {
  const probe = document.createElement('span')
  probe.className = `probe-${name.slice(2)}`
  element.append(probe)
  const { color } = getComputedStyle(probe)
  probe.remove()
  return color
}

function optionsOf(
  element: HTMLElement,
  series: readonly Series[],
  shown: (value: number) => string,
  onPoint: (index: number | undefined) => void,
): uPlot.Options {
  const [text, line] = [colourOf(element, '--text-2'), colourOf(element, '--line')]
  const { fontFamily, fontSize } = getComputedStyle(element)
  const font = `${fontSize} ${fontFamily}`
  return {
    width: element.clientWidth,
    height: HEIGHT_PX,
    legend: { show: false },
    cursor: {
      sync: { key: SHARED_CURSOR.key },
      drag: { x: false, y: false },
      points: { show: false },
      y: false,
    },
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
        stroke: colourOf(element, colour),
        width: 2,
        points: { show: false },
        ...(index === 0 ? { fill: colourOf(element, '--accent-soft') } : {}),
      })),
    ],
    hooks: { setCursor: [({ cursor }) => onPoint(cursor.idx ?? undefined)] },
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

/** Changes if the colours do, by the system or by the viewer. */
function useColourScheme(): string {
  const [scheme, setScheme] = useState(currentScheme)
  useEffect(() => {
    const change = () => setScheme(currentScheme())
    const query = matchMedia('(prefers-color-scheme: dark)')
    const observer = new MutationObserver(change)
    query.addEventListener('change', change)
    observer.observe(document.documentElement, { attributeFilter: ['data-theme'] })
    return () => {
      query.removeEventListener('change', change)
      observer.disconnect()
    }
  }, [])
  return scheme
}

function currentScheme(): string {
  const system = matchMedia('(prefers-color-scheme: dark)').matches ? 'dark' : 'light'
  return document.documentElement.dataset.theme ?? system
}
