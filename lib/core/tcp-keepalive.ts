import type { Socket } from 'node:net'

/** What Node notes on a socket when keepalive is turned on; it has no other way to ask. One symbol for all sockets. */
let noted: symbol | undefined

/** Whether TCP keepalive is on already: the app's `socket.setKeepAlive(true)`, or its server's `keepAlive` option. */
export function hasKeepAlive(socket: Socket): boolean {
  noted ??= Object.getOwnPropertySymbols(socket).find(({ description }) => description === 'kSetKeepAlive')
  // An app may have turned it on before the TLS handshake, on the socket below.
  const { _parent, server } = socket as { _parent?: Socket | null; server?: { keepAlive?: boolean } }
  return server?.keepAlive === true || isNoted(socket) || (_parent ? isNoted(_parent) : false)
}

function isNoted(socket: Socket): boolean {
  return noted !== undefined && (socket as unknown as Record<symbol, unknown>)[noted] === true
}
