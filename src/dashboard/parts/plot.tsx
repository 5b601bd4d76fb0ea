// Plot: a canvas with a label and keys for those who do not see or point, redrawn for other values and other colours.

import { useEffect, useLayoutEffect, useRef, useState } from 'react'
import uPlot from 'uplot'
import 'uplot/dist/uPlot.min.css'

/** A colour of the style sheet: `--s1`. */
export type Colour = `--${string}`

export interface PlotProps {
  readonly label: string
  readonly heightPx: number
  /** Epoch seconds, or the number of each part. */
  readonly data: uPlot.AlignedData
  /** The plot is made anew if this changes. */
  readonly identity: string
  /** @param colourOf a colour of the style sheet as the canvas needs it */
  readonly options: (colourOf: (colour: Colour) => string, font: string) => Omit<uPlot.Options, 'width' | 'height'>
  readonly onPoint: (index: number | undefined) => void
}

/** The crosshair is the same for all plots of a page. */
export const SHARED_CURSOR: uPlot.Cursor = {
  sync: { key: uPlot.sync('page').key },
  drag: { x: false, y: false },
  points: { show: false },
  y: false,
}

export function Plot({ label, heightPx, data, identity, options, onPoint }: PlotProps) {
  const place = useRef<HTMLDivElement>(null)
  const plot = useRef<uPlot>(undefined)
  const newest = useRef({ options, onPoint, data })
  newest.current = { options, onPoint, data }
  const scheme = useColourScheme()

  // biome-ignore lint/correctness/useExhaustiveDependencies: the plot is made anew for another identity or other colours alone.
  useLayoutEffect(() => {
    const element = place.current
    if (!element) return
    const { fontFamily, fontSize } = getComputedStyle(element)
    const made = new uPlot(
      {
        ...newest.current.options((colour) => colourOf(element, colour), `${fontSize} ${fontFamily}`),
        width: element.clientWidth,
        height: heightPx,
        legend: { show: false },
        hooks: { setCursor: [({ cursor }) => newest.current.onPoint(cursor.idx ?? undefined)] },
      },
      newest.current.data,
      element,
    )
    plot.current = made
    const resized = new ResizeObserver(() => made.setSize({ width: element.clientWidth, height: heightPx }))
    resized.observe(element)
    return () => {
      resized.disconnect()
      made.destroy()
      plot.current = undefined
    }
  }, [identity, scheme, heightPx])

  useEffect(() => plot.current?.setData(data), [data])

  const move = (step: number) => {
    const made = plot.current
    const [places] = newest.current.data
    if (!made || !places) return
    const index = Math.min(Math.max((made.cursor.idx ?? places.length) + step, 0), places.length - 1)
    made.setCursor({ left: made.valToPos(places[index] ?? 0, 'x'), top: 10 })
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

function colourOf(element: Element, name: Colour): string {
  const probe = document.createElement('span')
  probe.className = `probe-${name.slice(2)}`
  element.append(probe)
  const { color } = getComputedStyle(probe)
  probe.remove()
  return color
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
