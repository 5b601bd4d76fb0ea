// Colours of the dashboard: text and what carries meaning keep the contrast that docs/design.md promises, in light and dark.

import { readFileSync } from 'node:fs'
import { describe, expect, it } from 'vitest'

const STYLES = readFileSync(new URL('../../src/dashboard/styles.css', import.meta.url), 'utf8')
const MIN_TEXT_CONTRAST = 4.5
const MIN_SHAPE_CONTRAST = 3

type Scheme = 'light' | 'dark'

function colour(name: string, scheme: Scheme): string {
  const [, light, dark] = new RegExp(`--${name}:\\s*light-dark\\((#[0-9a-f]+),\\s*(#[0-9a-f]+)\\)`).exec(STYLES) ?? []
  const found = scheme === 'light' ? light : dark
  if (found === undefined) throw new Error(`No colour is named ${name}.`)
  return found
}

/** Relative luminance by WCAG 2.2. */
function luminance(hex: string): number {
  const digits = hex.length === 4 ? [...hex.slice(1)].map((digit) => digit + digit) : (hex.slice(1).match(/../g) ?? [])
  const [red = 0, green = 0, blue = 0] = digits.map((pair) => {
    const value = Number.parseInt(pair, 16) / 255
    return value <= 0.04045 ? value / 12.92 : ((value + 0.055) / 1.055) ** 2.4
  })
  return 0.2126 * red + 0.7152 * green + 0.0722 * blue
}

function contrast(front: string, ground: string, scheme: Scheme): number {
  const [darker = 0, lighter = 0] = [colour(front, scheme), colour(ground, scheme)].map(luminance).sort((a, b) => a - b)
  return (lighter + 0.05) / (darker + 0.05)
}

describe.each(['light', 'dark'] as const)('%s:', (scheme) => {
  it.each([
    ['text', 'surface'],
    ['text', 'bg'],
    ['text-2', 'surface'],
    ['text-2', 'bg'],
    ['text-2', 'sunken'],
    ['accent', 'surface'],
    ['on-accent', 'accent'],
    ['on-soft', 'accent-soft'],
    ['ok', 'ok-soft'],
    ['warn', 'warn-soft'],
    ['bad', 'bad-soft'],
    ['info', 'info-soft'],
    ['bad', 'surface'],
    ['warn', 'surface'],
    ['ok', 'surface'],
  ])('text in %s on %s', (front, ground) =>
    expect(contrast(front, ground, scheme)).toBeGreaterThanOrEqual(MIN_TEXT_CONTRAST),
  )

  it.each(['control', 's1', 's2', 's3', 's4', 's5', 's6', 's7', 's8'])('%s on a card', (front) =>
    expect(contrast(front, 'surface', scheme)).toBeGreaterThanOrEqual(MIN_SHAPE_CONTRAST),
  )
})
