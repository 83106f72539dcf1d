import type { IncomingMessage, ServerResponse } from 'node:http'
import type { Socket } from 'node:net'
import type { PeerConnection } from './connection.js'

import type { Refusal } from './refusal.js'

/** Where transports hand in what they see, and ask what to do. */
export interface ConnectionSink {
  /** The property under which a socket or WebSocket carries its connection; one symbol a pulse. */
  readonly key: symbol
  /** A socket was accepted. `undefined`: it is over the hard cap, destroy it. */
  accept(socket: Socket, secure: boolean): PeerConnection | undefined
  /** A socket that was open before `attach` came. It is never refused. */
  adopt(socket: Socket): PeerConnection
  /** A request came. `true`: it was answered, the app must not see it. */
  request(connection: PeerConnection, req: IncomingMessage, res: ServerResponse): boolean
  /** An upgrade came. */
  upgrade(connection: PeerConnection, req: IncomingMessage): Refusal | undefined
  /** A WebSocket came whose inside we do not know; it cannot be followed. */
  unknownWebSocket(): void
  /** We made a mistake; it was caught. */
  failed(error: unknown): void
  /** The socket is gone. */
  closed(connection: PeerConnection): void
}

/** The connection that a socket, or a WebSocket, carries. A mock of a request may come without a socket. */
export function carried(
  sink: { readonly key: symbol },
  carrier: object | null | undefined,
): PeerConnection | undefined {
  return (carrier as Record<symbol, PeerConnection | undefined> | null | undefined)?.[sink.key]
}

/** Puts the connection on its socket or WebSocket. */
export function carry(sink: { readonly key: symbol }, carrier: object, connection: PeerConnection): void {
  ;(carrier as Record<symbol, PeerConnection>)[sink.key] = connection
}

export function uncarry(sink: { readonly key: symbol }, carrier: object): void {
  delete (carrier as Record<symbol, unknown>)[sink.key]
}
