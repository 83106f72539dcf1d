import type { ConnectionPhase, Protocol } from '../../types/connection.js'
import type { PeerConnection, PeerTransport } from '../core/connection.js'
import { destroySocket, drainedBytes, goOnReading, stopReading, writtenBytes } from './socket.js'

const requestTimeout = 'HTTP/1.1 408 Request Timeout\r\nConnection: close\r\nContent-Length: 0\r\n\r\n'

/** Whether the response in flight is an event stream. Asked only once its headers are sent, since an app may set them late. */
function isEventStream(connection: PeerConnection): boolean {
  const { exchange } = connection
  const response = exchange?.current()
  if (exchange === undefined || response === undefined || !response.headersSent || response.writableEnded)
    return false
  // `getHeader` does not know what was handed to `writeHead` alone; the rendered header does.
  exchange.eventStream ??= /\r\ncontent-type: *text\/event-stream/i.test(
    (response as { _header?: string })._header ??
      `\r\ncontent-type: ${String(response.getHeader('content-type'))}`,
  )
  return exchange.eventStream
}

/** The last of the responses ends the connection. Too late once its headers are sent; then the next one's turn is it. */
function makeLast(connection: PeerConnection): void {
  connection.exchange?.current()
  const response = connection.exchange?.newest
  if (response === undefined || response.headersSent) return
  response.shouldKeepAlive = false
  response.setHeader('Connection', 'close')
}

function endEventStream({ exchange, socket, host }: PeerConnection): void {
  const response = exchange?.response
  // `retry` takes effect with its line. No empty line follows, which would dispatch an event the app was still writing.
  response?.write(`\nretry: ${host.reconnect.pickMs()}\n`)
  // Not as an argument of `end`: compression and its like take that for a chunk.
  response?.once('finish', () => socket.end())
  response?.end()
}

function bufferedBytes(connection: PeerConnection): number {
  const { exchange, socket } = connection
  const bytes = Math.max(exchange?.current()?.writableLength ?? 0, socket.writableLength)
  return bytes + (exchange?.queuedBytes ?? 0)
}

/** HTTP/1.1 requests, keep-alive pauses between them, and event streams. */
export const http1: PeerTransport = {
  pings: false,
  protocolOf: (connection): Protocol => (isEventStream(connection) ? 'sse' : 'http1'),
  phaseOf(connection): ConnectionPhase {
    if (connection.exchange?.handshaking === true) return 'tls-handshake'
    if (connection.exchange?.current() !== undefined)
      return isEventStream(connection) ? 'established' : 'request'
    return connection.exchange?.requestSeen === true ? 'keep-alive' : 'awaiting-request'
  },
  bytesRead: ({ socket }) => socket.bytesRead,
  bytesWritten: ({ socket }) => writtenBytes(socket),
  bufferedBytes,
  drainedBytes: ({ socket }) => drainedBytes(socket),
  ping: () => false,
  isPaused: () => false,
  /** Only while a body comes. */
  pause(connection) {
    const req = connection.exchange?.current()?.req
    return req !== undefined && !req.complete && stopReading(connection.socket)
  },
  resume: ({ socket }) => goOnReading(socket),
  isBusy: (connection) => connection.exchange?.current() !== undefined && !isEventStream(connection),
  retire: makeLast,
  close(connection, reason) {
    const { socket } = connection
    if (socket.destroyed) return
    if (connection.exchange?.current() !== undefined) {
      if (isEventStream(connection)) endEventStream(connection)
      else makeLast(connection)
    } else if (reason === 'handshake-timeout') {
      if (connection.phase === 'awaiting-request' && socket.bytesRead > 0 && socket.writable)
        socket.end(requestTimeout)
      else socket.destroy()
    } else socket.end()
  },
  terminate: ({ socket }, reset) => destroySocket(socket, reset),
  reasonOf(connection) {
    const { errorCode, errorReason, peerEnded, pendingReason } = connection.noteEnd()
    const { exchange } = connection
    if (errorCode === 'HPE_INVALID_EOF_STATE') return 'peer-ended'
    if (errorReason !== undefined) return errorReason
    if (peerEnded === 'busy') return 'peer-ended'
    if (exchange?.keptRefusal !== undefined) {
      connection.noteEnd().errorMessage ??= exchange.keptRefusal.detail
      return exchange.keptRefusal.reason
    }
    if (peerEnded === 'idle') return 'peer-closed'
    if (pendingReason !== undefined) return pendingReason
    if (exchange?.timedOut) return 'idle-timeout'
    // TLS reads in place of the TCP socket, which therefore does not tell of a FIN before the handshake is done.
    if (exchange?.handshaking) return connection.bytesRead === 0 ? 'peer-closed' : 'peer-ended'
    // Node answers some malformed requests (one without a Host, for example) by itself, without an event.
    if (!exchange?.requestSeen && connection.bytesWritten > 0) return 'protocol-error'
    connection.exchange?.current()
    return exchange?.peerAskedToClose ? 'peer-closed' : 'server-closed'
  },
}
