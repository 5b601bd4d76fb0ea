// Remote address: the IP address at the other end of a socket. It never reads a header: what `x-forwarded-for` says, anyone can write.

/** A socket of Node's. */
interface SocketAddresses {
  readonly remoteAddress?: string | undefined
  readonly localAddress?: string | undefined
  readonly destroyed: boolean
}

/**
 * The address of the client, such as `127.0.0.1` or `::1`. Undefined for a unix socket, which has no addresses. Empty if the client has
 * gone, because its socket does not know the address any more.
 */
export function remoteAddressOf(socket: SocketAddresses): string | undefined {
  const { remoteAddress } = socket
  if (remoteAddress !== undefined) return remoteAddress
  return socket.destroyed || socket.localAddress !== undefined ? '' : undefined
}
