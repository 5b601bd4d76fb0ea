// Build of the dashboard: pages and hashed assets, each compressed beside itself. Usage: node scripts/build-dashboard.ts [--outDir dist/dashboard]

import { readdirSync, readFileSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { parseArgs } from 'node:util'
import { brotliCompressSync, constants, gzipSync } from 'node:zlib'
import { build } from 'vite'

const ROOT = join(import.meta.dirname, '..')
const { values } = parseArgs({ options: { outDir: { type: 'string', default: join(ROOT, 'dist/dashboard') } } })

await build({
  configFile: join(ROOT, 'src/dashboard/vite.config.ts'),
  build: { outDir: values.outDir },
  logLevel: 'warn',
})
const assets = join(values.outDir, 'assets')
for (const name of readdirSync(assets)) {
  const bytes = readFileSync(join(assets, name))
  writeFileSync(join(assets, `${name}.gz`), gzipSync(bytes, { level: constants.Z_BEST_COMPRESSION }))
  writeFileSync(join(assets, `${name}.br`), brotliCompressSync(bytes))
}
