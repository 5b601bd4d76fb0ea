// The memory store keeps the contract.

import { MemoryRegistry } from '../../../src/stores/memory/registry.ts'
import { MemoryStore } from '../../../src/stores/memory/store.ts'
import { conformance } from '../conformance.ts'

conformance({
  name: 'memory',
  open: async () => ({ store: new MemoryStore(), registry: new MemoryRegistry() }),
})
