import { never, type PeerConnection } from '../core/connection.js'
import type { PongWait } from '../core/connection-extras.js'
import type { Endings } from '../core/endings.js'
import type { Policy } from '../core/policy.js'
import type { Vitals } from '../core/vitals.js'

/** A pong that waits behind our own draining bytes is waited for, but not for ever: this many timeouts. */
const maxCreditTimeouts = 10
/**
 * What the send buffer here and the receive buffer there may hold once nothing is left in this process: Linux lets
 * them grow to 4 and 6 MiB (`tcp_wmem`, `tcp_rmem`). The ping is behind that too.
 */
const kernelBytes = 10 * 1024 * 1024
/** Less than this before the ping is not worth waiting for; TLS always has a record or two on the way. */
const largeBytes = 64 * 1024

/**
 * Pings silent peers and terminates those that stay silent, as `half-open`. Any inbound byte is life. Times are
 * credited (see Clock), so a stall of our own loop is not the peer's silence.
 */
export function createHeartbeat(
  config: { intervalMs: number; timeoutMs: number },
  endings: Endings,
  vitals: Vitals,
  onOtherHeartbeat: () => void,
): Policy {
  let isOtherTold = false

  function ping(connection: PeerConnection, now: number, intervalMs: number, timeoutMs: number): number {
    const behindBytes = connection.transport.bufferedBytes(connection) > largeBytes
    if (!connection.transport.ping(connection)) return now + intervalMs
    connection.pingSentAt = now
    if (behindBytes) {
      const drained = connection.transport.drainedBytes(connection)
      connection.needExtras().pongWait = { drainedAtPing: drained, drained, creditAt: now }
    } else if (connection.extras !== undefined) connection.extras.pongWait = undefined
    return now + Math.min(timeoutMs, intervalMs)
  }

  /** The ping is behind bytes of ours that drain, or that the kernels hold and pass on no faster than they took them. */
  function pongMayStillCome(
    connection: PeerConnection,
    wait: PongWait,
    now: number,
    timeoutMs: number,
  ): boolean {
    const { pingSentAt } = connection
    if (now - pingSentAt >= timeoutMs * maxCreditTimeouts) return false
    const drained = connection.transport.drainedBytes(connection)
    if (drained > wait.drained) {
      wait.drained = drained
      wait.creditAt = now
      return true
    }
    const bytesPerMs = (wait.drained - wait.drainedAtPing) / (wait.creditAt - pingSentAt)
    return bytesPerMs > 0 && now - wait.creditAt < kernelBytes / bytesPerMs
  }

  return {
    visit(connection, now) {
      if (!connection.transport.pings || connection.state !== 'open') return Number.POSITIVE_INFINITY
      if (!isOtherTold && connection.transport.hasOtherHeartbeat(connection)) {
        isOtherTold = true
        onOtherHeartbeat()
      }
      const scale = vitals.timeoutScale
      const intervalMs = config.intervalMs * scale
      const timeoutMs = config.timeoutMs * scale
      const silentSince = Math.max(connection.seen, connection.extras?.judgedFrom ?? 0)
      if (silentSince >= connection.pingSentAt) connection.pingSentAt = never
      if (connection.pingSentAt === never && now < silentSince + intervalMs) return silentSince + intervalMs
      // Its silence is our doing. It is still pinged: the write shows a reset that a paused socket hides.
      if (connection.transport.isPaused(connection)) {
        connection.needExtras().judgedFrom = now
        if (connection.pingSentAt === never || now - connection.pingSentAt >= intervalMs)
          ping(connection, now, intervalMs, timeoutMs)
        return now + intervalMs
      }
      if (connection.pingSentAt === never) return ping(connection, now, intervalMs, timeoutMs)
      const wait = connection.extras?.pongWait
      const deadline = (wait?.creditAt ?? connection.pingSentAt) + timeoutMs
      if (now < deadline) return deadline
      if (wait !== undefined && pongMayStillCome(connection, wait, now, timeoutMs)) return now + timeoutMs
      // In a dry run it lives on; it is judged anew from the next ping.
      if (!endings.terminate(connection, 'half-open')) connection.pingSentAt = never
      return now + intervalMs
    },
  }
}
