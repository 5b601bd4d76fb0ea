// Copy: code with a button that copies it, and says so for two seconds.

import { useEffect, useState } from 'react'
import { Icon } from './icons.tsx'

const SAYS_COPIED_MS = 2_000

export function CopyButton({ text }: { readonly text: string }) {
  const [isCopied, setCopied] = useState(false)
  useEffect(() => {
    if (!isCopied) return
    const timer = setTimeout(() => setCopied(false), SAYS_COPIED_MS)
    return () => clearTimeout(timer)
  }, [isCopied])
  const copy = async () => {
    await navigator.clipboard.writeText(text)
    setCopied(true)
  }
  return (
    <button type="button" className="btn small" onClick={() => void copy()}>
      <Icon name="copy" />
      <span role="status">{isCopied ? 'Copied' : 'Copy'}</span>
    </button>
  )
}

export function Code({ text, label }: { readonly text: string; readonly label: string }) {
  return (
    <div className="code pad">
      {/* biome-ignore lint/a11y/noNoninteractiveTabindex: what scrolls must be reachable by keyboard. */}
      <pre tabIndex={0}>
        <span className="vh">{label}: </span>
        <code>{text}</code>
      </pre>
      <CopyButton text={text} />
    </div>
  )
}
