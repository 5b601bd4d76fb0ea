// Chart card: a chart, or in its place the table of the same figures.

import { type ReactNode, useId, useState } from 'react'
import { Segments } from './segments.tsx'

interface ChartCardProps {
  readonly title: string
  readonly subtitle: string
  readonly chart: ReactNode
  readonly table: ReactNode
}

export function ChartCard({ title, subtitle, chart, table }: ChartCardProps) {
  const [view, setView] = useState<'chart' | 'table'>('chart')
  const heading = useId()
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
      {view === 'table' ? table : chart}
    </section>
  )
}
