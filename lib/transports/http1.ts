import type { ConnectionPhase, OnDrain, Protocol } from '../../types/connection.js'
import type { PeerConnection, PeerTransport } from '../core/connection.js'
import { isPoll } from './engine-io.js'
import { isReceiving } from './incoming-messages.js'
import { makeLast } from './last-response.js'
import { endResponse } from './late-write.js'
import { destroySocket, drainedBytes, goOnReading, stopReading, writtenBytes } from './socket.js'
import { endWaiting } from './waiting-response.js'

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

function endEventStream({ exchange, socket, host }: PeerConnection): void {
  const response = exchange?.response
  // `retry` takes effect with its line. No empty line follows, which would dispatch an event the app was still writing.
  response?.write(`\nretry: ${host.reconnect.pickMs()}\n`)
  // Not as an argument of `end`: compression and its like take that for a chunk.
  response?.once('finish', () => socket.end())
  if (response !== undefined) endResponse(response)
}

/** Of pipelined requests few run at a time, so there are few responses to add up. */
function bufferedBytes({ exchange, socket }: PeerConnection): number {
  let bytes = Math.max(exchange?.current()?.writableLength ?? 0, socket.writableLength)
  for (const { writableLength } of exchange?.queuedResponses ?? []) bytes += writableLength
  return bytes
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
  hasOtherHeartbeat: () => false,
  isPaused: () => false,
  /** Only while a body comes. */
  pause(connection) {
    const req = connection.exchange?.current()?.req
    return req !== undefined && !req.complete && stopReading(connection.socket)
  },
  resume: ({ socket }) => goOnReading(socket),
  isBusy: (connection) =>
    connection.exchange?.current() === undefined ? isReceiving(connection) : !isEventStream(connection),
  onDrain(connection): OnDrain {
    const response = connection.exchange?.current()
    return response === undefined || isEventStream(connection) || isPoll(response.req) ? 'end' : 'finish'
  },
  retire: makeLast,
  close(connection, reason) {
    const { socket } = connection
    if (socket.destroyed) return
    if (connection.exchange?.current() !== undefined) {
      if (isEventStream(connection)) endEventStream(connection)
      else if (reason === 'drain' && connection.onDrain === 'end') endWaiting(connection)
      else makeLast(connection)
    } else if (reason === 'handshake-timeout') {
      if (connection.phase === 'awaiting-request' && socket.bytesRead > 0 && socket.writable)
        socket.end(requestTimeout)
      else socket.destroy()
    } else if (!isReceiving(connection)) {
      // The rest of a request that has begun is waited for instead; it is then the last.
      socket.end()
    }
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
