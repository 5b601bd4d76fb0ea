// Private addresses: which IP addresses are not of the public internet, so that nobody makes the gateway send to its own network.

import { BlockList, isIP } from 'node:net'

/** Special-purpose IPv4 blocks (IANA's registry, RFC 6890). */
const PRIVATE_V4: readonly (readonly [address: string, prefix: number])[] = [
  ['0.0.0.0', 8],
  ['10.0.0.0', 8],
  ['100.64.0.0', 10],
  ['127.0.0.0', 8],
  ['169.254.0.0', 16],
  ['172.16.0.0', 12],
  ['192.0.0.0', 24],
  ['192.0.2.0', 24],
  ['192.31.196.0', 24],
  ['192.52.193.0', 24],
  ['192.88.99.0', 24],
  ['192.168.0.0', 16],
  ['192.175.48.0', 24],
  ['198.18.0.0', 15],
  ['198.51.100.0', 24],
  ['203.0.113.0', 24],
  ['224.0.0.0', 4],
  ['240.0.0.0', 4],
]

/** All that is public is in 2000::/3. These parts of it are not, or hold an IPv4 address that can be private (Teredo, 6to4). */
const PUBLIC_V6 = ['2000::', 3] as const
const PRIVATE_V6: readonly (readonly [address: string, prefix: number])[] = [
  ['2001::', 23],
  ['2001:db8::', 32],
  ['2002::', 16],
  ['3fff::', 20],
]

const privateV4 = new BlockList()
for (const [address, prefix] of PRIVATE_V4) privateV4.addSubnet(address, prefix, 'ipv4')
const publicV6 = new BlockList()
publicV6.addSubnet(...PUBLIC_V6, 'ipv6')
const privateV6 = new BlockList()
for (const [address, prefix] of PRIVATE_V6) privateV6.addSubnet(address, prefix, 'ipv6')

/** False for what is no IP address, and for addresses of this machine, its network, and other special purposes. */
export function isPublicAddress(address: string): boolean {
  switch (isIP(address)) {
    case 4:
      return !privateV4.check(address, 'ipv4')
    case 6:
      // IPv4-mapped addresses (::ffff:0:0/96) are outside of 2000::/3.
      return publicV6.check(address, 'ipv6') && !privateV6.check(address, 'ipv6')
    default:
      return false
  }
}

/**
 * True if a host can only be private, whatever DNS says: an address of a private network, or a name of this machine.
 * @param hostname as `URL` writes it: numbers in any base are dotted decimals there, and IPv6 has brackets
 */
export function isPrivateHost(hostname: string): boolean {
  const host = hostname
    .replace(/^\[|\]$/g, '')
    .replace(/\.$/, '')
    .toLowerCase()
  if (isIP(host) !== 0) return !isPublicAddress(host)
  return host === '' || host === 'localhost' || /\.(localhost|local|internal)$/.test(host)
}
