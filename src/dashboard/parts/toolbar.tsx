// Toolbar of reports: the period, the zone, and the filters of calls, each of which can be removed.

import { type FormEvent, useState } from 'react'
import { FILTER_NAMES, type FilterName, type Filters } from '../data/filters.ts'
import { Icon } from './icons.tsx'

const RANGES = [
  ['1', 'Today'],
  ['7', '7 days'],
  ['30', '30 days'],
  ['90', '90 days'],
  ['365', '365 days'],
] as const

interface ToolbarProps {
  readonly filters: Filters
  readonly defaultDays: string
  /** The zone of the gateway. */
  readonly timeZone: string
}

export function Toolbar({ filters, defaultDays, timeZone }: ToolbarProps) {
  const from = filters.get('from')
  const days = from === undefined ? (filters.get('days') ?? defaultDays) : 'dates'
  const own = Intl.DateTimeFormat().resolvedOptions().timeZone
  const zone = filters.get('tz') ?? timeZone
  const zones = [...new Set([timeZone, own, zone, 'UTC'])]
  const today = new Date().toISOString().slice(0, 10)
  return (
    <div className="card toolbar filters">
      <label className="field">
        Period
        <select
          value={days}
          onChange={({ target: { value } }) =>
            filters.set(
              value === 'dates'
                ? { days: undefined, from: today, to: today }
                : { days: value, from: undefined, to: undefined },
            )
          }
        >
          {RANGES.map(([value, text]) => (
            <option key={value} value={value}>
              {text}
            </option>
          ))}
          <option value="dates">dates…</option>
        </select>
      </label>
      {from !== undefined && (
        <>
          <DateField label="From" value={from} onChange={(value) => filters.set({ from: value })} />
          <DateField label="To" value={filters.get('to') ?? today} onChange={(value) => filters.set({ to: value })} />
        </>
      )}
      <label className="field">
        Days of
        <select
          value={zone}
          onChange={({ target: { value } }) => filters.set({ tz: value === timeZone ? undefined : value })}
        >
          {zones.map((name) => (
            <option key={name} value={name}>
              {name}
            </option>
          ))}
        </select>
      </label>
      <AddFilter onAdd={(name, value) => filters.set({ [name]: value })} />
      {filters.ofCalls.length > 0 && (
        <ul className="row chips" aria-label="Filters">
          {filters.ofCalls.map(([name, value]) => (
            <li key={name} className="chip">
              <span>
                {name}: {value === '' ? 'none' : value}
              </span>
              <button type="button" aria-label={`Remove ${name}`} onClick={() => filters.set({ [name]: undefined })}>
                <Icon name="close" />
              </button>
            </li>
          ))}
        </ul>
      )}
    </div>
  )
}

function DateField({
  label,
  value,
  onChange,
}: {
  readonly label: string
  readonly value: string
  readonly onChange: (value: string) => void
}) {
  return (
    <label className="field">
      {label}
      <input
        type="date"
        required
        value={value}
        onChange={({ target }) => target.value !== '' && onChange(target.value)}
      />
    </label>
  )
}

function AddFilter({ onAdd }: { readonly onAdd: (name: FilterName, value: string) => void }) {
  const [name, setName] = useState<FilterName>('key')
  const [value, setValue] = useState('')
  const add = (event: FormEvent) => {
    event.preventDefault()
    if (value.trim() === '') return
    onAdd(name, value.trim())
    setValue('')
  }
  return (
    <form className="row end" onSubmit={add}>
      <select
        aria-label="Filter by"
        className="outcome"
        value={name}
        onChange={({ target }) => setName(FILTER_NAMES.find((known) => known === target.value) ?? 'key')}
      >
        {FILTER_NAMES.map((known) => (
          <option key={known} value={known}>
            {known}
          </option>
        ))}
      </select>
      <input
        id="filter"
        type="text"
        className="short"
        aria-label={`Which ${name}`}
        placeholder={name === 'model' ? 'provider/model' : 'is exactly'}
        value={value}
        onChange={({ target }) => setValue(target.value)}
      />
      <button type="submit" className="btn" disabled={value.trim() === ''}>
        Filter
      </button>
    </form>
  )
}
