import { IncomingMessage, type Server, ServerResponse } from 'node:http'
import { Socket } from 'node:net'
import type { PeerConnection } from '../core/connection.js'
import { type ConnectionSink, carried } from '../core/sink.js'
import { type Seam, takeOverEmit } from './emit-seam.js'
import { isPastLast } from './last-response.js'
import { mustWait, releaseWaiting, wait } from './pipelining.js'
import { refuseUpgrade } from './refusal.js'
import { noteError, type SocketListeners } from './socket-listeners.js'

/** Follows every socket of an http or https server from accept on. */
export function watchHttpServer(server: Server, sink: ConnectionSink, listeners: SocketListeners): Seam {
  const secure = 'setSecureContext' in server
  /** Whose peers ask whether they may go on. */
  const asked = new WeakSet<ServerResponse>()

  function accept(socket: Socket): boolean {
    if (carried(sink, socket) !== undefined || !isWatchable(socket)) return false
    // With one that is dead already there will be no handshake.
    const connection = sink.accept(socket, secure && !socket.destroyed)
    if (connection === undefined) return true
    // A listener of the app's may have detached us meanwhile.
    if (connection.index !== -1) listeners.watch(socket, connection)
    if (socket.destroyed) {
      if (socket.readableEnded) connection.noteEnd().peerEnded = 'idle'
      listeners.lost(connection)
    }
    return false
  }

  function secured(socket: Socket): void {
    if (!(socket instanceof Socket)) return
    const below = (socket as { _parent?: Socket | null })._parent
    const connection = below ? carried(sink, below) : undefined
    if (connection !== undefined) listeners.moveTo(socket, connection)
    else if (carried(sink, socket) === undefined) adopt(socket)
  }

  function request(event: string, req: IncomingMessage, res: ServerResponse): boolean {
    // Whoever emits the event may have mocks: they are the app's.
    if (!(req instanceof IncomingMessage && res instanceof ServerResponse)) return false
    const connection = carried(sink, req.socket) ?? adopt(req.socket)
    if (connection === undefined) return false
    const { exchange } = connection
    // `checkContinue` hands the same request on as `request`, perhaps when others have come behind it.
    if (exchange === undefined || exchange.holds(res) || asked.has(res)) return false
    if (event !== 'request') asked.add(res)
    if (mustWait(exchange, res)) {
      wait(exchange, res, () => {
        if (!admit(connection, req, res)) seam.pass(event, req, res)
      })
      return true
    }
    return admit(connection, req, res)
  }

  /** `true`: it was answered, or cannot be. */
  function admit(connection: PeerConnection, req: IncomingMessage, res: ServerResponse): boolean {
    const { exchange } = connection
    if (exchange === undefined || connection.index === -1) return false
    if (isPastLast(connection)) {
      // The peer cannot be answered any more, and will send it again: it must not be run here. Its FIN is waited for.
      req.resume()
      return true
    }
    if (!exchange.requestSeen) listeners.watchResponses(req.socket)
    exchange.take(res)
    connection.markSeen()
    if (connection.endNotes?.pendingReason !== undefined) connection.transport.retire(connection)
    return sink.request(connection, req, res)
  }

  function upgrade(req: IncomingMessage, socket: Socket): boolean {
    if (!(req instanceof IncomingMessage)) return false
    const connection = carried(sink, socket) ?? adopt(socket)
    if (connection === undefined) return false
    if (isPastLast(connection)) {
      socket.resume()
      return true
    }
    releaseWaiting(connection.exchange)
    if (connection.exchange !== undefined) {
      connection.exchange.requestSeen = true
      connection.exchange.noteRequest(req, true)
    }
    const refusal = sink.upgrade(connection, req)
    if (refusal === undefined) {
      listeners.watchUpgrade(connection)
      return false
    }
    refuseUpgrade(connection, refusal)
    return true
  }

  function adopt(socket: unknown): PeerConnection | undefined {
    return isWatchable(socket) ? sink.adopt(socket) : undefined
  }

  /** Node closes a socket whose timer ran out, unless the server, the request or the response has a listener for that. */
  function timeout(connection: PeerConnection): void {
    const { exchange } = connection
    const response = exchange?.current()
    const isHandled = [server, response, response?.req].some(
      (emitter) => (emitter?.listenerCount('timeout') ?? 0) > 0,
    )
    if (isHandled || exchange === undefined) return
    if (connection.transport.isBusy(connection)) exchange.timedOut = true
    else if (exchange.keptRefusal === undefined) connection.settle('idle-timeout')
  }

  const seam = takeOverEmit(
    server,
    (event, first, second) => {
      switch (event) {
        case 'request':
        case 'checkContinue':
        case 'checkExpectation':
          return request(event, first as IncomingMessage, second as ServerResponse)
        case 'connection':
          return accept(first as Socket)
        case 'secureConnection':
          secured(first as Socket)
          return false
        case 'upgrade':
        case 'connect':
          return upgrade(first as IncomingMessage, second as Socket)
        case 'timeout': {
          const connection = carried(sink, first as Socket)
          if (connection !== undefined) timeout(connection)
          return false
        }
        case 'clientError':
        case 'tlsClientError': {
          const socket = second as (Socket & { _parent?: Socket | null }) | undefined
          const connection = carried(sink, socket) ?? carried(sink, socket?._parent)
          return connection !== undefined && clientError(connection, first as NodeJS.ErrnoException)
        }
        default:
          return false
      }
    },
    (error) => sink.failed(error),
  )
  return seam
}

/** An app may hand Node any Duplex as a connection, or a socket that was never connected: those are served, and not watched. */
function isWatchable(socket: unknown): socket is Socket {
  return socket instanceof Socket && (!socket.pending || socket.connecting || socket.destroyed)
}

/** `true`: nothing is to be done about it. */
function clientError(connection: PeerConnection, error: NodeJS.ErrnoException): boolean {
  // The rest of a request is late because we do not read it.
  if (error?.code === 'ERR_HTTP_REQUEST_TIMEOUT' && connection.exchange?.waiting !== undefined) return true
  if (error?.code === 'ERR_HTTP_REQUEST_TIMEOUT' || error?.code === 'ERR_TLS_HANDSHAKE_TIMEOUT')
    connection.settle('handshake-timeout')
  // A FIN in the middle of the handshake: Node makes up an ECONNRESET, without the errno a real one has.
  else if (connection.exchange?.handshaking && error?.code === 'ECONNRESET' && error.errno === undefined)
    connection.noteEnd().peerEnded = 'busy'
  else noteError(connection, error)
  return false
}
