// Keyboard: shortcuts, off while typing, and the list of them.

import { useEffect, useLayoutEffect, useRef } from 'react'

export interface Shortcut {
  readonly keys: string
  readonly does: string
  readonly run: () => void
}

/** Runs the shortcut of a key that is pressed alone, outside fields and dialogs. */
export function useShortcuts(shortcuts: readonly Shortcut[]): void {
  const known = useRef(shortcuts)
  known.current = shortcuts
  useEffect(() => {
    const press = (event: KeyboardEvent) => {
      const { target, key, ctrlKey, metaKey, altKey } = event
      if (ctrlKey || metaKey || altKey) return
      if (target instanceof HTMLElement && target.closest('input, select, textarea, dialog[open]')) return
      const shortcut = known.current.find(({ keys }) => keys === key.toLowerCase())
      if (!shortcut) return
      event.preventDefault()
      shortcut.run()
    }
    document.addEventListener('keydown', press)
    return () => document.removeEventListener('keydown', press)
  }, [])
}

/** A dialog of the platform: it keeps the focus inside, and Escape closes it. */
export function KeyboardHelp({
  shortcuts,
  onClose,
}: {
  readonly shortcuts: readonly Shortcut[]
  readonly onClose: () => void
}) {
  const dialog = useRef<HTMLDialogElement>(null)
  useLayoutEffect(() => dialog.current?.showModal(), [])
  return (
    <dialog ref={dialog} className="dialog" aria-labelledby="keyboard" onClose={onClose}>
      <div className="stack">
        <h2 id="keyboard">Keyboard</h2>
        <dl className="facts one">
          {shortcuts.map(({ keys, does }) => (
            <div key={keys}>
              <dt>
                <span className="key">{keys}</span>
              </dt>
              <dd>{does}</dd>
            </div>
          ))}
          <div>
            <dt>
              <span className="key">←</span> <span className="key">→</span>
            </dt>
            <dd>Move the crosshair of a chart</dd>
          </div>
        </dl>
        <form method="dialog">
          <button type="submit" className="btn">
            Close
          </button>
        </form>
      </div>
    </dialog>
  )
}
