// Remote address: what a socket says of its other end.

import { expect, it } from 'vitest'
import { remoteAddressOf } from '../../src/exchange/remote-address.ts'

const socket = { remoteAddress: undefined, localAddress: undefined, destroyed: false }

it.each([
  ['an address', { ...socket, remoteAddress: '10.0.0.9', localAddress: '10.0.0.1' }, '10.0.0.9'],
  ['a unix socket, which has none', socket, undefined],
  ['a client that has gone', { ...socket, destroyed: true }, ''],
  ['a client that has gone while its socket is open', { ...socket, localAddress: '10.0.0.1' }, ''],
])('%s', (_, given, address) => {
  expect(remoteAddressOf(given)).toBe(address)
})
