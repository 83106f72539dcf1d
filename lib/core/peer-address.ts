import { isIPv4, isIPv6, type Socket } from 'node:net'
import { flat, peerText } from './peer-text.js'

/** Of a peer on a unix socket, one that was gone before it was accepted, or one that a trusted proxy did not name usably. */
export const unknownAddress = 'unknown'

/** An IPv6 address has 45 characters at most, and an interface's name 15. */
const longestAddress = 100

interface PeerName {
  address?: string | undefined
  port?: number | undefined
}

/** Filled anew for each socket. */
const name: PeerName = {}

/**
 * Where a socket's peer is. Asked of the handle, since `socket.remoteAddress` keeps what it was told in an object on
 * the socket for good: 90 bytes a connection (`npm run bench -- memory`).
 */
export function peerNameOf(socket: Socket): Readonly<PeerName> {
  const handle = (socket as { _handle?: { getpeername?: (into: PeerName) => number } | null })._handle
  name.address = undefined
  name.port = undefined
  // Libraries that read the PROXY protocol put the client's address on the socket, over Node's getter.
  const isGiven = Object.hasOwn(socket, 'remoteAddress')
  if (isGiven || typeof handle?.getpeername !== 'function' || handle.getpeername(name) !== 0) {
    name.address = socket.remoteAddress
    name.port = socket.remotePort
  }
  return name
}

/** A peer of this machine, on a unix socket. One whose TCP socket is reset has no address either, but its socket has a local one. */
export function isOnUnixSocket({ remoteAddress, localAddress, destroyed }: Socket): boolean {
  return remoteAddress === undefined && localAddress === undefined && !destroyed
}

/** An IPv4 address that came in on an IPv6 socket is the same peer as on an IPv4 one. */
export function plainAddress(address: string | undefined): string {
  if (typeof address !== 'string' || address === '') return unknownAddress
  if (address.startsWith('::ffff:') && address.includes('.')) return address.slice(7)
  // A library that puts an address on the socket may have it from the peer.
  return peerText(address, longestAddress)
}

/**
 * An address that somebody wrote into a header, as the kernel would write it, so that one peer has one name: without
 * quotes, brackets, port and zone. `undefined` for what is no IP address: `unknown`, `_hidden`, a host's name.
 */
export function writtenAddress(written: string): string | undefined {
  let text = written.trim()
  if (text.length > 1 && text.startsWith('"') && text.endsWith('"')) text = text.slice(1, -1).trim()
  const bracketed = /^\[([^\]]*)\](?::[\w.-]*)?$/.exec(text)?.[1]
  const [bare = '', zone] = (bracketed ?? text.replace(/^([\d.]+):[\w.-]*$/, '$1')).split('%', 2)
  if (bare.length > longestAddress) return undefined
  if (isIPv4(bare)) return zone === undefined && bracketed === undefined ? flat(bare) : undefined
  return isIPv6(bare) ? ipv6Text(ipv6Groups(bare)) : undefined
}

/**
 * By what a peer is counted: an IPv4 address, or the prefix of an IPv6 address, as in `2001:db8:1:2::/64`: a household or
 * a virtual machine has a whole prefix, and takes an address out of it as it likes.
 */
export function peerOf(address: string, ipv6PrefixBits: number): string {
  if (!address.includes(':') || ipv6PrefixBits === 128) return address
  const [bare = ''] = address.split('%', 1)
  if (!isIPv6(bare)) return address
  const groups = ipv6Groups(bare)
  if (hasSharedPrefix(groups)) return address
  const prefix = groups.map((group, i) => {
    const bits = Math.min(16, Math.max(0, ipv6PrefixBits - 16 * i))
    return group & (0xffff << (16 - bits)) & 0xffff
  })
  return `${ipv6Text(prefix)}/${ipv6PrefixBits}`
}

/** Loopback and what embeds an IPv4 address (also by NAT64, RFC 6052), and link-local: there everybody has the same prefix. */
function hasSharedPrefix([a = 0, b, c, d]: readonly number[]): boolean {
  return (a === 0 && b === 0 && c === 0 && d === 0) || (a === 0x64 && b === 0xff9b) || (a & 0xffc0) === 0xfe80
}

/** The eight groups of a well-formed IPv6 address without a zone. */
function ipv6Groups(address: string): number[] {
  const numbers = (part: string): number[] =>
    part === ''
      ? []
      : part
          .split(':')
          .flatMap((group) => (group.includes('.') ? ipv4Groups(group) : [Number.parseInt(group, 16)]))
  const [head = '', tail] = address.split('::', 2)
  const first = numbers(head)
  if (tail === undefined) return first
  const last = numbers(tail)
  return [...first, ...Array<number>(8 - first.length - last.length).fill(0), ...last]
}

function ipv4Groups(address: string): number[] {
  const [a = 0, b = 0, c = 0, d = 0] = address.split('.').map(Number)
  return [a * 256 + b, c * 256 + d]
}

/** As RFC 5952 says, and IPv4 where one is mapped. */
function ipv6Text(groups: readonly number[]): string {
  if (groups[5] === 0xffff && groups.slice(0, 5).every((group) => group === 0))
    return groups
      .slice(6)
      .map((group) => `${group >> 8}.${group & 255}`)
      .join('.')
  const text = groups.map((group) => group.toString(16)).join(':')
  // The longest run of zeros, the first of several.
  const runs = text.match(/(?<![\da-f])0(?::0)+(?![\da-f])/g) ?? []
  const longest = runs.reduce((most, run) => (run.length > most.length ? run : most), '')
  if (longest === '') return text
  const at = text.search(new RegExp(`(?<![\\da-f])${longest}(?![\\da-f])`))
  return `${text.slice(0, Math.max(0, at - 1))}::${text.slice(at + longest.length + 1)}`
}
