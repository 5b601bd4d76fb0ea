// Prepare: builds the dashboard after `npm ci`. Plain JavaScript, because npm may run this with a Node.js that reads no TypeScript.

import { execFileSync } from 'node:child_process'
import { existsSync } from 'node:fs'
import { join } from 'node:path'

const root = join(import.meta.dirname, '..')
if (existsSync(join(root, 'node_modules/vite')))
  execFileSync(process.execPath, [join(root, 'scripts/build-dashboard.ts')], { cwd: root, stdio: 'inherit' })
else console.log('The dashboard is not built: development packages are left out. `npm ci` builds the dashboard.')
