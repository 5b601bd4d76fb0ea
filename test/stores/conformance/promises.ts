// Promises: each line of a list in a contract of `src/stores` is the name of a test, and each test here is such a line.

import { readFileSync } from 'node:fs'
import { expect, test } from 'vitest'

const CONTRACTS = ['store.ts', 'registry.ts', 'alert-queue.ts']

const testNames = new Set<string>()

/** A test of the conformance suite. */
export function promise(name: string, body: () => Promise<void>): void {
  testNames.add(name)
  test(name, body)
}

/** One promise, shown by several cases. */
export function promiseOfEach<Case extends { readonly how: string }>(
  name: string,
  cases: readonly Case[],
  body: (example: Case) => Promise<void>,
): void {
  testNames.add(name)
  for (const example of cases) test(`${name}: ${example.how}`, () => body(example))
}

/** The last test of the suite. */
export function promisesSuite(): void {
  test('every promise of a contract has a test of its name, and every test is a promise', () => {
    const promises = CONTRACTS.flatMap((name) => {
      const text = readFileSync(new URL(`../../../src/stores/${name}`, import.meta.url), 'utf8')
      return [...text.matchAll(/^ *\* - (.+)$/gm)].map(([, line]) => line)
    })
    expect(promises.length).toBeGreaterThan(40)
    expect([...testNames].sort()).toEqual(promises.sort())
  })
}
