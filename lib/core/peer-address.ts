/** Of a peer on a unix socket, or one that was gone before it was accepted. */
export const unknownAddress = 'unknown'

/** An IPv4 address that came in on an IPv6 socket is the same peer as on an IPv4 one. */
export function plainAddress(address: string | undefined): string {
  if (address === undefined) return unknownAddress
  return address.startsWith('::ffff:') && address.includes('.') ? address.slice(7) : address
}
