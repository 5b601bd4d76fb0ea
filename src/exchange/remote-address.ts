// Remote address: the IP address at the other end of a socket. It never reads a header: what `x-forwarded-for` says, anyone can write.

import type { Socket } from 'node:net'

/**
 * The address of the client, such as `127.0.0.1` or `::1`. Undefined for a unix socket, which has no addresses. Empty if the client has
 * gone, because its socket does not know the address any more.
 */
export function remoteAddressOf(
  socket: Pick<Socket, 'remoteAddress' | 'localAddress' | 'destroyed'>,
): string | undefined {
  const { remoteAddress } = socket
  if (remoteAddress !== undefined) return remoteAddress
  return socket.destroyed || socket.localAddress !== undefined ? '' : undefined
}
