import type { CloseReason } from './close.js'

/**
 * How one protocol is read and ended. One object a protocol and pulse, shared by all its connections, so that a
 * connection costs no closure. `C` is the connection with the protocol's own fields; policies never look at those.
 */
export interface Transport<C> {
  bytesRead(connection: C): number
  bytesWritten(connection: C): number
  bufferedBytes(connection: C): number
  /** Bytes the kernel has taken. It grows while a slow peer still reads. */
  drainedBytes(connection: C): number
  /** Whether a heartbeat can be sent. */
  readonly pings: boolean
  /** `false`: it was not sent, as the connection is ending already. */
  ping(connection: C): boolean
  /** Whether somebody else waits for pongs too. Asked only where `pings`. */
  hasOtherHeartbeat(connection: C): boolean
  /** Stops reading, so that TCP slows the peer down. `false`: it cannot be, or the app has done it already. */
  pause(connection: C): boolean
  /** Goes on reading after `pause`. */
  resume(connection: C): void
  /** The app, or we, stopped reading: the peer's silence says nothing. */
  isPaused(connection: C): boolean
  /** A request or response is on its way. */
  isBusy(connection: C): boolean
  /** Makes the response in flight the connection's last, where the protocol has such a thing. */
  retire(connection: C): void
  /** Begins an orderly end. */
  close(connection: C, reason: CloseReason): void
  /** Why it ended, from what the raw socket showed; asked once its socket is gone and nobody has said why. */
  reasonOf(connection: C): CloseReason
  /** Destroys the socket. `reset`: with a RST, for a peer that is known to be dead or must not be waited for. */
  terminate(connection: C, reset: boolean): void
}
