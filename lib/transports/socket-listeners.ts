import type { Socket } from 'node:net'
import type { PeerConnection } from '../core/connection.js'
import { peerText } from '../core/peer-text.js'
import { type ConnectionSink, carried, carry, uncarry } from '../core/sink.js'
import { forgetLast } from './last-response.js'
import { releaseWaiting } from './pipelining.js'
import { upgraded } from './upgraded.js'
import type { WebSocketListeners } from './websocket.js'
import type { WriteGuard } from './write-guard.js'
import { webSocketOn } from './ws-internals.js'

/**
 * The listeners that all sockets of a pulse share. The error listener is there from accept to close: Node takes its
 * own off before it emits `'upgrade'`, and a peer that resets then ends a process that has no other.
 */
export class SocketListeners {
  readonly #sink: ConnectionSink
  readonly #webSockets: WebSocketListeners
  readonly #guard: WriteGuard | undefined
  readonly #onError: (this: Socket, error: NodeJS.ErrnoException) => void
  readonly #onEnd: (this: Socket) => void
  readonly #onClose: (this: Socket) => void
  readonly #onNewListener: (this: Socket, event: string | symbol) => void

  /** `guard`: sees what responses write. */
  constructor(sink: ConnectionSink, webSockets: WebSocketListeners, guard: WriteGuard | undefined) {
    this.#sink = sink
    this.#webSockets = webSockets
    this.#guard = guard
    this.#onError = function (this: Socket, error) {
      const connection = carried(sink, this)
      if (connection !== undefined) noteError(connection, error)
    }
    this.#onEnd = function (this: Socket) {
      const connection = carried(sink, this)
      if (connection === undefined) return
      const notes = connection.noteEnd()
      if (notes.peerEnded !== undefined) return
      // A FIN that answers ours says nothing.
      if (this.writableEnded) return
      const { phase, protocol } = connection
      notes.peerEnded = phase === 'request' || phase === 'upgrade' || protocol === 'sse' ? 'busy' : 'idle'
    }
    this.#onClose = function (this: Socket) {
      const connection = carried(sink, this)
      if (connection?.socket !== this) return
      if (this.errored) noteError(connection, this.errored)
      sink.closed(connection)
    }
    // `ws` ties its WebSocket to the socket and then listens for data: the first moment at which we can follow it, and
    // the last before a malformed frame could be read. Whatever library called it, and however long its auth took.
    this.#onNewListener = function (this: Socket, event) {
      if (event !== 'data') return
      const webSocket = webSocketOn(this)
      if (webSocket === undefined) return
      webSockets.adopt(webSocket)
    }
  }

  watch(socket: Socket, connection: PeerConnection): void {
    carry(this.#sink, socket, connection)
    // First in line: Node and `ws` answer a FIN in their own 'end' listeners, which are there already on a socket that
    // was open before attach, and afterwards it looks as if the server had gone first.
    socket.prependListener('error', this.#onError)
    socket.prependListener('end', this.#onEnd)
    socket.prependListener('close', this.#onClose)
  }

  /** The TLS handshake is done: from here on the errors show on the TLS socket alone. */
  moveTo(socket: Socket, connection: PeerConnection): void {
    this.#unwatch(connection.socket)
    connection.socket = socket
    if (connection.exchange !== undefined) connection.exchange.handshaking = false
    this.watch(socket, connection)
  }

  /** The first request of a connection came. Not at accept: most WebSockets never have a request of another kind. */
  watchResponses(socket: Socket): void {
    this.#guard?.put(socket)
  }

  /** The app gets the socket for another protocol. */
  watchUpgrade(connection: PeerConnection): void {
    const { exchange } = connection
    if (exchange !== undefined) {
      exchange.dropResponses()
      exchange.upgrade = { since: connection.host.clock.now, writtenBefore: connection.bytesWritten }
    }
    connection.become(upgraded, exchange)
    connection.socket.on('newListener', this.#onNewListener)
  }

  /**
   * `ws` listens for errors and the FIN itself, and what they were can be read off the socket at its `'close'`. Our
   * own listeners would make an array of 20 of Node's list of two (`npm run bench -- memory`).
   */
  leaveToWebSocket(socket: Socket): void {
    socket.removeListener('newListener', this.#onNewListener)
    socket.removeListener('error', this.#onError)
    socket.removeListener('end', this.#onEnd)
  }

  release(connection: PeerConnection): void {
    releaseWaiting(connection.exchange)
    this.#webSockets.release(connection)
    this.#unwatch(connection.socket)
  }

  #unwatch(socket: Socket): void {
    socket.removeListener('error', this.#onError)
    socket.removeListener('end', this.#onEnd)
    socket.removeListener('close', this.#onClose)
    socket.removeListener('newListener', this.#onNewListener)
    this.#guard?.takeOff(socket)
    forgetLast(socket)
    uncarry(this.#sink, socket)
  }
}

/** Keeps the first error that a socket, the parser or the TLS handshake showed. */
export function noteError(connection: PeerConnection, error: NodeJS.ErrnoException): void {
  const notes = connection.noteEnd()
  if (notes.hadError) return
  notes.hadError = true
  // The app destroyed its response with an error, of its upstream for instance: whatever the code, it is not the peer's.
  if (error !== undefined && connection.exchange?.response?.errored === error) {
    notes.phase ??= 'request'
    connection.settle('server-error')
  }
  notes.phase ??= connection.phase
  notes.errorCode ??= typeof error?.code === 'string' ? error.code : undefined
  notes.errorMessage ??= peerText(String(error?.message ?? error))
}
