// Icons: one sprite in the page, with the hatches of gauges and the mark.

const PATHS = {
  now: 'M2 9h3l2-6 3 10 2-4h2',
  usage: 'M2 14h12M4 14V8m4 6V3m4 11V6',
  calls: 'M2 4h12M2 8h12M2 12h7',
  ok: 'M8 1.8a6.2 6.2 0 1 0 0 12.4A6.2 6.2 0 0 0 8 1.8zM5.2 8.2l2 2 3.6-4',
  warn: 'M8 2 1.8 13.2h12.4zM8 6.6v3M8 11.4v.1',
  refused: 'M5.4 1.8h5.2l3.6 3.6v5.2l-3.6 3.6H5.4l-3.6-3.6V5.4zm.6 4.2 4 4m0-4-4 4',
  failed: 'M5.4 1.8h5.2l3.6 3.6v5.2l-3.6 3.6H5.4l-3.6-3.6V5.4zM8 4.8v3.6M8 11v.1',
  info: 'M8 1.8a6.2 6.2 0 1 0 0 12.4A6.2 6.2 0 0 0 8 1.8zM8 7.4v3.4M8 5.1v.1',
  running: 'M2 5c2-2 4 2 6 0s4 2 6 0M2 10.5c2-2 4 2 6 0s4 2 6 0',
  copy: 'M7 5h5a2 2 0 0 1 2 2v5a2 2 0 0 1-2 2H7a2 2 0 0 1-2-2V7a2 2 0 0 1 2-2zm4 0V4a2 2 0 0 0-2-2H4a2 2 0 0 0-2 2v5a2 2 0 0 0 2 2h1',
  pause: 'M5.5 3v10M10.5 3v10',
  play: 'M5 3l8 5-8 5z',
  close: 'm4 4 8 8m0-8-8 8',
  download: 'M8 2v8m-3.5-3L8 10.5 11.5 7M3 14h10',
  print: 'M4 6V2h8v4M4 11H2V6h12v5h-2M4 9h8v5H4z',
  off: 'M2 2l12 12M4.5 9.5a5 5 0 0 1 2-1.2m3.2.2a5 5 0 0 1 1.8 1M2 6.5A9 9 0 0 1 5 4.7m3-.7a9 9 0 0 1 6 2.5M8 12.5v.1',
} as const

export type IconName = keyof typeof PATHS | 'unknown' | 'theme'

export function Icon({ name }: { readonly name: IconName }) {
  return (
    <svg className="i" viewBox="0 0 16 16" aria-hidden="true" focusable="false">
      {name === 'unknown' ? (
        <circle cx="8" cy="8" r="6.2" strokeDasharray="2.6 2.2" />
      ) : name === 'theme' ? (
        <>
          <circle cx="8" cy="8" r="5.8" />
          <path d="M8 2.2v11.6a5.8 5.8 0 0 0 0-11.6z" fill="currentColor" />
        </>
      ) : (
        <path d={PATHS[name]} />
      )}
    </svg>
  )
}

/** The hatches that gauges and swatches refer to. */
export function Patterns() {
  return (
    <svg className="sprite" aria-hidden="true" focusable="false">
      <defs>
        {(['h1', 'h2', 'h0'] as const).map((id) => (
          <pattern key={id} id={id} width="6" height="6" patternUnits="userSpaceOnUse" patternTransform="rotate(45)">
            <rect className={`${id}p`} width="6" height="6" />
            <path className={`${id}l`} d="M1.5 0v6" />
          </pattern>
        ))}
        <linearGradient id="mark" x1="0" y1="0" x2="1" y2="1">
          <stop offset="0" stopColor="#8b6cff" />
          <stop offset="1" stopColor="#4a2fc0" />
        </linearGradient>
      </defs>
    </svg>
  )
}

export function Mark() {
  return (
    <svg viewBox="0 0 26 26" aria-hidden="true" focusable="false">
      <rect width="26" height="26" rx="7" fill="url(#mark)" />
      <path d="M7 18.5h12M7 13h8.5M7 7.5h5" stroke="#fff" strokeWidth="2.6" strokeLinecap="round" />
    </svg>
  )
}
