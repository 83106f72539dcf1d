import type { PeerTransport } from '../core/connection.js'
import { destroySocket, drainedBytes, goOnReading, writtenBytes } from './socket.js'

/**
 * An upgraded (or CONNECTed) socket whose library we do not know. It is watched by its byte counts and never read
 * from: a `'data'` listener of ours would set it flowing before its library is ready.
 */
export const upgraded: PeerTransport = {
  pings: false,
  protocolOf: () => 'upgraded',
  /** The upgrade counts as done when the server has written something, a 101 as a rule. */
  phaseOf({ socket, exchange }) {
    const isWaiting =
      exchange?.upgrade !== undefined && writtenBytes(socket) <= exchange.upgrade.writtenBefore
    return isWaiting ? 'upgrade' : 'established'
  },
  bytesRead: ({ socket }) => socket.bytesRead,
  bytesWritten: ({ socket }) => writtenBytes(socket),
  bufferedBytes: ({ socket }) => socket.writableLength,
  drainedBytes: ({ socket }) => drainedBytes(socket),
  ping: () => false,
  hasOtherHeartbeat: () => false,
  isPaused: ({ socket }) => socket.isPaused(),
  /** Its library may count on what it has set going. */
  pause: () => false,
  resume: ({ socket }) => goOnReading(socket),
  isBusy: () => false,
  onDrain: () => 'end',
  retire() {},
  close({ socket }, reason) {
    if (reason === 'handshake-timeout') socket.destroy()
    else socket.end()
  },
  terminate: ({ socket }, reset) => destroySocket(socket, reset),
  reasonOf(connection) {
    const { errorReason, peerEnded, pendingReason } = connection.noteEnd()
    if (errorReason !== undefined) return errorReason
    if (peerEnded !== undefined) return peerEnded === 'busy' ? 'peer-ended' : 'peer-closed'
    return pendingReason ?? 'server-closed'
  },
}
