import type { ConnectionPhase, Protocol } from '../../types/connection.js'
import { reasonOfSocketError } from '../core/close-reason.js'
import type { PeerConnection, PeerTransport } from '../core/connection.js'
import { countAllBytes, destroySocket, drainedBytes } from './socket.js'

const requestTimeout = 'HTTP/1.1 408 Request Timeout\r\nConnection: close\r\nContent-Length: 0\r\n\r\n'

/** Whether the response in flight is an event stream. Asked only once its headers are sent, since an app may set them late. */
function isEventStream(connection: PeerConnection): boolean {
  const { response } = connection
  if (response === undefined || !response.headersSent || response.writableEnded) return false
  // `getHeader` does not know what was handed to `writeHead` alone; the rendered header does.
  connection.eventStream ??= /\r\ncontent-type: *text\/event-stream/i.test(
    (response as { _header?: string })._header ??
      `\r\ncontent-type: ${String(response.getHeader('content-type'))}`,
  )
  return connection.eventStream
}

function inFlight(connection: PeerConnection): boolean {
  const { response } = connection
  return response !== undefined && !response.closed && !response.writableFinished && !response.destroyed
}

/** Too late once its headers are sent; then the next response is the last. */
function makeLast(connection: PeerConnection): void {
  const { response } = connection
  if (response === undefined || response.headersSent) return
  response.shouldKeepAlive = false
  response.setHeader('Connection', 'close')
}

function endEventStream(connection: PeerConnection): void {
  const { response, socket } = connection
  // The leading newline ends a line that the app may have left open; at the end of an event it changes nothing.
  response?.write(`\nretry: ${connection.host.reconnect.pickMs()}\n\n`)
  response?.end(() => socket.end())
}

/** HTTP/1.1 requests, keep-alive pauses between them, and event streams. */
export const http1: PeerTransport = {
  pings: false,
  protocolOf: (connection): Protocol => (isEventStream(connection) ? 'sse' : 'http1'),
  phaseOf(connection): ConnectionPhase {
    if (connection.handshaking) return 'tls-handshake'
    if (inFlight(connection)) return isEventStream(connection) ? 'established' : 'request'
    return connection.requestSeen ? 'keep-alive' : 'awaiting-request'
  },
  bytesRead: ({ socket }) => socket.bytesRead,
  bytesWritten: ({ socket }) => socket.bytesWritten ?? 0,
  bufferedBytes: (connection) =>
    connection.response !== undefined && inFlight(connection)
      ? Math.max(connection.response.writableLength, connection.socket.writableLength)
      : connection.socket.writableLength,
  drainedBytes: ({ socket }) => drainedBytes(socket),
  countTraffic: countAllBytes,
  ping() {},
  isPaused: () => false,
  isBusy: (connection) => inFlight(connection) && !isEventStream(connection),
  retire: makeLast,
  close(connection, reason) {
    const { socket } = connection
    if (inFlight(connection)) {
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
    const { errorCode, hadError, sawEnd, pendingReason } = connection
    if (hadError && errorCode === 'HPE_INVALID_EOF_STATE') return 'peer-ended'
    if (hadError) return reasonOfSocketError(errorCode)
    if (sawEnd === 'busy') return 'peer-ended'
    if (pendingReason !== undefined) return pendingReason
    if (sawEnd === 'idle') return 'peer-closed'
    // TLS reads in place of the TCP socket, which therefore does not tell of a FIN before the handshake is done.
    if (connection.handshaking) return connection.bytesRead === 0 ? 'peer-closed' : 'peer-ended'
    // Node answers some malformed requests (one without a Host, for example) by itself, without an event.
    if (!connection.requestSeen && connection.bytesWritten > 0) return 'protocol-error'
    return peerAskedToClose(connection) ? 'peer-closed' : 'server-closed'
  },
}

/** A request that said `Connection: close` (or HTTP/1.0) had us send the first FIN; the wish was the peer's all the same. */
function peerAskedToClose({ response }: PeerConnection): boolean {
  if (response === undefined || !response.writableFinished) return false
  const { req } = response
  const wish = req.headers.connection?.toLowerCase()
  return wish === undefined ? req.httpVersion === '1.0' : wish.includes('close')
}
