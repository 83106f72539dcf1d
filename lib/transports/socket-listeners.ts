import type { Socket } from 'node:net'
import { reasonOfSocketError } from '../core/close-reason.js'
import type { PeerConnection } from '../core/connection.js'
import { peerText } from '../core/peer-text.js'
import { type ConnectionSink, carried, carry, uncarry } from '../core/sink.js'
import { forgetLast } from './last-response.js'
import { releaseWaiting } from './pipelining.js'
import { failsByPeer } from './socket.js'
import { upgraded } from './upgraded.js'
import type { WebSocketListeners } from './websocket.js'
import { WriteGuard } from './write-guard.js'
import { webSocketOn } from './ws-internals.js'

/**
 * The listeners that all sockets of a pulse share. The error listener is there from accept to close: Node takes its
 * own off before it emits `'upgrade'`, and a peer that resets then ends a process that has no other.
 */
export class SocketListeners {
  readonly #sink: ConnectionSink
  readonly #webSockets: WebSocketListeners
  readonly #guard: WriteGuard | undefined
  readonly #destroyGuard: WriteGuard
  readonly #onError: (this: Socket, error: NodeJS.ErrnoException) => void
  readonly #onEnd: (this: Socket) => void
  readonly #onClose: (this: Socket) => void
  readonly #onNewListener: (this: Socket, event: string | symbol) => void

  /** `guard`: sees what responses write. */
  constructor(sink: ConnectionSink, webSockets: WebSocketListeners, guard: WriteGuard | undefined) {
    this.#sink = sink
    this.#webSockets = webSockets
    this.#guard = guard
    this.#destroyGuard = new WriteGuard('destroy', (socket, args) =>
      this.#seeDestroy(socket as Socket, args[0]),
    )
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
      // Its methods may be the app's, and we are within its library's call.
      try {
        webSockets.adopt(webSocket)
      } catch (error) {
        sink.failed(error)
      }
    }
  }

  watch(socket: Socket, connection: PeerConnection): void {
    carry(this.#sink, socket, connection)
    // First in line: Node and `ws` answer a FIN in their own 'end' listeners, which are there already on a socket that
    // was open before attach, and afterwards it looks as if the server had gone first.
    socket.prependListener('error', this.#onError)
    socket.prependListener('end', this.#onEnd)
    socket.prependListener('close', this.#onClose)
    this.#destroyGuard.put(socket)
  }

  /** Its socket was found destroyed: that was so before we came, or the app has taken our listeners off. */
  lost(connection: PeerConnection): void {
    this.#onClose.call(connection.socket)
  }

  /** The last moment at which the kernel can be asked about the peer, and the app's response is what it was. */
  #seeDestroy(socket: Socket, error: unknown): void {
    const connection = carried(this.#sink, socket)
    if (connection?.socket !== socket || connection.state === 'closed' || socket.destroyed) return
    try {
      const notes = connection.noteEnd()
      notes.protocol ??= connection.protocol
      if (socket.readableEnded) this.#onEnd.call(socket)
      if (error) noteError(connection, error as NodeJS.ErrnoException, failsByPeer(socket, error as Error))
      else notes.phase ??= connection.phase
    } catch (failure) {
      this.#sink.failed(failure)
    }
    // An app that took all listeners off took ours: without any, what a peer does to its socket ends the process.
    if (error && socket.listenerCount('error') === 0) socket.on('error', this.#onError)
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
    forgetLast(connection)
  }

  #unwatch(socket: Socket): void {
    socket.removeListener('error', this.#onError)
    socket.removeListener('end', this.#onEnd)
    socket.removeListener('close', this.#onClose)
    socket.removeListener('newListener', this.#onNewListener)
    this.#guard?.takeOff(socket)
    this.#destroyGuard.takeOff(socket)
    uncarry(this.#sink, socket)
  }
}

/** What Node was doing when a socket that it accepted failed. One that connects, or looks a name up, is the app's own. */
const callsOfAccepted = new Set(['read', 'write', 'shutdown'])

/**
 * Keeps the first error that a socket, the parser or the TLS handshake showed. `peerIsLost`: whether that is so; an
 * app may destroy a socket with the error of another one.
 */
export function noteError(
  connection: PeerConnection,
  error: NodeJS.ErrnoException,
  peerIsLost?: boolean,
): void {
  const notes = connection.noteEnd()
  if (notes.errorReason !== undefined) return
  const code = typeof error?.code === 'string' ? error.code : undefined
  const reason = reasonOfSocketError(code)
  const isPeers = peerIsLost !== false && callsOfAccepted.has(error?.syscall ?? '')
  notes.errorReason =
    (reason === 'peer-reset' || reason === 'half-open') && !isPeers ? 'server-error' : reason
  notes.phase ??= connection.phase
  // The app destroyed its response with an error, of its upstream for instance: whatever the code, it is not the peer's.
  if (error !== undefined && connection.exchange?.response?.errored === error)
    connection.settle('server-error')
  notes.errorCode ??= code
  notes.errorMessage ??= peerText(String(error?.message ?? error))
}
