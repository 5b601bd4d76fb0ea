// The memory store keeps the contract.

import { MemoryStore } from '../../../src/stores/memory/store.ts'
import { conformance } from '../conformance/conformance.ts'

conformance({ name: 'memory', open: async () => ({ store: new MemoryStore() }) })
