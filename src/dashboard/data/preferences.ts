// Preferences: the theme, kept in the browser.

const THEMES = ['system', 'light', 'dark'] as const
export type Theme = (typeof THEMES)[number]
const NAME = 'bursar-theme'

export function currentTheme(): Theme {
  try {
    const kept = localStorage.getItem(NAME)
    return THEMES.find((theme) => theme === kept) ?? 'system'
  } catch {
    return 'system'
  }
}

export function applyTheme(theme: Theme): void {
  const { dataset } = document.documentElement
  if (theme === 'system') delete dataset.theme
  else dataset.theme = theme
  try {
    localStorage.setItem(NAME, theme)
  } catch {
    // The theme holds until the page is left.
  }
}

export function nextTheme(theme: Theme): Theme {
  return THEMES[(THEMES.indexOf(theme) + 1) % THEMES.length] ?? 'system'
}
