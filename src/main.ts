// Main: the process. Reads the environment and .env, and serves.

import { enableCompileCache } from 'node:module'
import dotenv from 'dotenv'

// What was compiled once is read back at the next start, which takes half the time then. Only what is imported from here on.
const { directory } = enableCompileCache()
// Threads have it too: to strip types itself, each would take 30 MB.
if (directory !== undefined) process.env.NODE_COMPILE_CACHE ??= directory
const { serve } = await import('./app/serve.ts')

dotenv.config({ quiet: true })
await serve(process.env)
