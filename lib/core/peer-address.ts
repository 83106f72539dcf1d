import type { Socket } from 'node:net'

/** Of a peer on a unix socket, or one that was gone before it was accepted. */
export const unknownAddress = 'unknown'

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

/** An IPv4 address that came in on an IPv6 socket is the same peer as on an IPv4 one. */
export function plainAddress(address: string | undefined): string {
  if (address === undefined) return unknownAddress
  return address.startsWith('::ffff:') && address.includes('.') ? address.slice(7) : address
}
