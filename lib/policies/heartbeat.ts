import { tickMs } from '../core/clock.js'
import { never, type PeerConnection } from '../core/connection.js'
import type { Endings } from '../core/endings.js'
import type { Policy } from '../core/policy.js'
import type { Registry } from '../core/registry.js'

/** A pong that waits behind our own draining bytes is waited for, but not for ever: this many timeouts. */
const maxCreditTimeouts = 10
/**
 * What the send buffer here and the receive buffer there may hold once nothing is left in this process: Linux lets
 * them grow to 4 and 6 MiB (`tcp_wmem`, `tcp_rmem`). The ping is behind that too.
 */
const kernelBytes = 10 * 1024 * 1024
/** Less than this before the ping is not worth waiting for; TLS always has a record or two on the way. */
const largeBytes = 64 * 1024
/** Pings a tick may always send; above it, a tick sends its fair share of the interval and a quarter. */
const leastPingsPerTick = 50
const shareHeadroom = 1.25

/**
 * Pings silent peers and terminates those that stay silent, as `half-open`. Any inbound byte is life. Times are
 * credited (see Clock), so a stall of our own loop is not the peer's silence.
 *
 * When many peers connected in one moment, their pings fall due in one moment too. A tick then sends no more than its
 * share and leaves the rest to the next; after the first round they are spread over the interval for good.
 */
export function createHeartbeat(
  config: { intervalMs: number; timeoutMs: number },
  registry: Registry,
  endings: Endings,
): Policy {
  const { intervalMs, timeoutMs } = config
  let shareAt = never
  let share = 0

  function takeShare(now: number): boolean {
    if (shareAt !== now) {
      shareAt = now
      share = Math.max(leastPingsPerTick, Math.ceil((registry.size * tickMs * shareHeadroom) / intervalMs))
    }
    return share-- > 0
  }

  function ping(connection: PeerConnection, now: number): number {
    const behindBytes = connection.transport.bufferedBytes(connection) > largeBytes
    if (!connection.transport.ping(connection)) return now + intervalMs
    connection.pingSentAt = now
    connection.pongCreditAt = now
    connection.drainedAtPing = behindBytes ? connection.transport.drainedBytes(connection) : never
    connection.pongDrained = connection.drainedAtPing
    return now + Math.min(timeoutMs, intervalMs)
  }

  /** The ping is behind bytes of ours that drain, or that the kernels hold and pass on no faster than they took them. */
  function pongMayStillCome(connection: PeerConnection, now: number): boolean {
    const { pingSentAt, pongDrained, drainedAtPing } = connection
    if (pongDrained === never || now - pingSentAt >= timeoutMs * maxCreditTimeouts) return false
    const drained = connection.transport.drainedBytes(connection)
    if (drained > pongDrained) {
      connection.pongDrained = drained
      connection.pongCreditAt = now
      return true
    }
    const bytesPerMs = (pongDrained - drainedAtPing) / (connection.pongCreditAt - pingSentAt)
    return bytesPerMs > 0 && now - connection.pongCreditAt < kernelBytes / bytesPerMs
  }

  return {
    visit(connection, now) {
      if (!connection.transport.pings || connection.state !== 'open') return Number.POSITIVE_INFINITY
      // Its silence is our doing. It is still pinged: the write shows a reset that a paused socket hides.
      if (connection.transport.isPaused(connection)) {
        connection.judgedFrom = now
        if (connection.pingSentAt === never || now - connection.pingSentAt >= intervalMs)
          ping(connection, now)
        return now + intervalMs
      }
      const silentSince = Math.max(connection.seen, connection.judgedFrom)
      if (silentSince >= connection.pingSentAt) connection.pingSentAt = never
      if (connection.pingSentAt === never) {
        if (now < silentSince + intervalMs) return silentSince + intervalMs
        return takeShare(now) ? ping(connection, now) : now + tickMs
      }
      const deadline = connection.pongCreditAt + timeoutMs
      if (now < deadline) return deadline
      if (pongMayStillCome(connection, now)) return now + timeoutMs
      // In a dry run it lives on; it is judged anew from the next ping.
      if (!endings.terminate(connection, 'half-open')) connection.pingSentAt = never
      return now + intervalMs
    },
  }
}
