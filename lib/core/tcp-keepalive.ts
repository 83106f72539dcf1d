import type { Socket } from 'node:net'
import type { PeerConnection } from './connection.js'
import type { Feature } from './feature.js'

/** Turns TCP keepalive on, the only means that finds a half-open peer without a protocol's ping; and off again at the end. */
export class TcpKeepAlive implements Feature {
  readonly name = 'tcp-keepalive'
  readonly #delayMs: number
  readonly #connections: Iterable<PeerConnection>

  /** `delayMs`: of silence, until the kernel asks the peer's. */
  constructor(delayMs: number, connections: Iterable<PeerConnection>) {
    this.#delayMs = delayMs
    this.#connections = connections
  }

  /** At the first look, within a second: the four system calls would be a twentieth of a handshake (`npm run bench -- connect`). */
  look(connection: PeerConnection): void {
    if (connection.keepsAlive) return
    const { socket, exchange } = connection
    // Before the TLS handshake is done it would be the TCP socket's, and stay when the TLS socket's is turned off.
    if (exchange?.handshaking === true || socket.destroyed || hasKeepAlive(socket)) return
    connection.keepsAlive = true
    socket.setKeepAlive(true, this.#delayMs)
  }

  stop(): void {
    for (const { keepsAlive, socket, host } of this.#connections) {
      // It may be the app's own method; the others' is turned off all the same.
      try {
        if (keepsAlive) socket.setKeepAlive(false)
      } catch (error) {
        host.failed(error)
      }
    }
  }
}

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
