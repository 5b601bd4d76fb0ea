#!/usr/bin/env node
// bursar: the command. In a checkout it runs the sources, in the package what they were compiled to.

import { existsSync, readFileSync } from 'node:fs'

const [major = 0, minor = 0] = process.versions.node.split('.').map(Number)
const { engines } = JSON.parse(readFileSync(new URL('../package.json', import.meta.url), 'utf8'))
const [minMajor = 0, minMinor = 0] = engines.node.replace('>=', '').split('.').map(Number)
if (major < minMajor || (major === minMajor && minor < minMinor)) {
  process.stderr.write(
    `Bursar needs Node ${minMajor}.${minMinor} or newer, and this is Node ${process.versions.node}: ${process.execPath}\n`,
  )
  process.exitCode = 1
} else {
  const isCheckout = existsSync(new URL('../src/main.ts', import.meta.url))
  await import(isCheckout ? '../src/main.ts' : '../dist/main.js')
}
