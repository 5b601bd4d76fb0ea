// Public hosts: finds the addresses of a host, and refuses those that are not public, so that no message reaches the gateway's own network.

import { lookup } from 'node:dns/promises'
import { isIP, type LookupFunction } from 'node:net'
import { isPrivateHost, isPublicAddress } from '../config/private-addresses.ts'

/** All addresses of a host, in the order of the resolver. Rejects if there are none. */
export type Resolve = (hostname: string) => Promise<readonly string[]>

export const resolveBySystem: Resolve = async (hostname) =>
  (await lookup(hostname, { all: true })).map(({ address }) => address)

/** The host is on this machine or a private network. */
export class PrivateHost extends Error {
  override name = 'PrivateHost'
}

/**
 * The addresses of a host. Rejects with PrivateHost if any is private, unless that is allowed, and with the resolver's error.
 * @param hostname without brackets
 */
export async function addressesOf(
  hostname: string,
  resolve: Resolve,
  allowPrivate: boolean,
): Promise<readonly string[]> {
  if (!allowPrivate && isPrivateHost(hostname)) throw privateHost(hostname)
  const addresses = isIP(hostname) === 0 ? await resolve(hostname) : [hostname]
  if (!allowPrivate && !addresses.every(isPublicAddress)) throw privateHost(hostname)
  if (addresses.length === 0) throw new Error(`${hostname} has no address`)
  return addresses
}

function privateHost(hostname: string): PrivateHost {
  return new PrivateHost(`${hostname} is on this machine or a private network, where no alert is sent`)
}

/** The look-up of a connection: the addresses that are checked are those that are connected to. */
export function checkedLookup(resolve: Resolve): LookupFunction {
  return (hostname, options, callback) => {
    addressesOf(hostname, resolve, false).then(
      (addresses) => {
        const found = addresses.map((address) => ({ address, family: isIP(address) }))
        const [first] = found
        if (options.all || !first) callback(null, found)
        else callback(null, first.address, first.family)
      },
      (error: Error) => callback(error, []),
    )
  }
}
