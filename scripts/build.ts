// Build: the package's code and types in `dist`, with the data that the code reads, and the dashboard. Usage: node scripts/build.ts [--outDir dist]

import { execFileSync } from 'node:child_process'
import { cpSync } from 'node:fs'
import { join } from 'node:path'
import { parseArgs } from 'node:util'

const ROOT = join(import.meta.dirname, '..')
const { values } = parseArgs({ options: { outDir: { type: 'string', default: join(ROOT, 'dist') } } })
const TSC = join(ROOT, 'node_modules/typescript/bin/tsc')

execFileSync(process.execPath, [TSC, '-p', join(ROOT, 'tsconfig.build.json'), '--outDir', values.outDir], {
  cwd: ROOT,
  stdio: 'inherit',
})
for (const name of ['prices.json', 'licences'])
  cpSync(join(ROOT, 'src/prices', name), join(values.outDir, 'prices', name), { recursive: true })
execFileSync(
  process.execPath,
  [join(ROOT, 'scripts/build-dashboard.ts'), '--outDir', join(values.outDir, 'dashboard')],
  {
    cwd: ROOT,
    stdio: 'inherit',
  },
)
