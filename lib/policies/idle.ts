import { tickMs } from '../core/clock.js'
import type { PeerConnection } from '../core/connection.js'
import type { Endings } from '../core/endings.js'
import type { Policy } from '../core/policy.js'
import type { Vitals } from '../core/vitals.js'

const forever = Number.POSITIVE_INFINITY
/** Traffic is sampled about once a second; a timeout too short for that is looked at in tenths of itself. */
const shortTimeoutMs = 10_000
/** A response turns into an event stream, and an upgrade is done, without an event: how often that is looked for. */
const protocolLookMs = 1_000

/** Closes connections without application traffic, as `idle-timeout`. Pings and pongs are not traffic. */
export function createIdle(
  config: { inboundMs: number | false; sseMs: number | false },
  endings: Endings,
  vitals: Vitals,
): Policy {
  function inboundTimeout(connection: PeerConnection): number | false {
    const { protocol } = connection
    return protocol === 'websocket' || protocol === 'upgraded' ? config.inboundMs : false
  }

  const scaled = (timeoutMs: number | false) => timeoutMs !== false && timeoutMs * vitals.timeoutScale

  return {
    visit(connection, now) {
      if (connection.state !== 'open') return forever
      if (connection.phase === 'upgrade') return now + protocolLookMs
      const anyMs = scaled(connection.idleTimeoutMs)
      const inboundMs = scaled(inboundTimeout(connection))
      if (anyMs === false && inboundMs === false) {
        return config.sseMs !== false && connection.protocol === 'http1' ? now + protocolLookMs : forever
      }
      connection.sample()
      const dueAny = anyMs === false ? forever : connection.active + anyMs
      const dueInbound = inboundMs === false ? forever : connection.inboundActive + inboundMs
      const due = Math.min(dueAny, dueInbound)
      if (now >= due && !connection.transport.isBusy(connection)) {
        endings.close(connection, 'idle-timeout')
        return now + protocolLookMs
      }
      const shortest = Math.min(anyMs || forever, inboundMs || forever)
      return shortest < shortTimeoutMs
        ? Math.min(due, now + Math.max(tickMs, shortest / 10))
        : Math.max(due, now + tickMs)
    },
  }
}
