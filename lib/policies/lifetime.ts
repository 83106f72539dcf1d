import type { Endings } from '../core/endings.js'
import type { Policy } from '../core/policy.js'

/** How often a retired HTTP connection is looked at again. */
const retiredLookMs = 1_000
/** Spreads neighbouring ids evenly over 0..1 (the golden ratio's fractional part), so that no random number need be kept. */
const spread = (id: number) => (id * 0.618_033_988_749_895) % 1

/** Ends connections at their maximum age, as `lifetime`: HTTP with its next response, others with a close frame. */
export function createLifetime(config: { maxAgeMs: number; jitter: number }, endings: Endings): Policy {
  return {
    visit(connection, now) {
      if (connection.state !== 'open') return Number.POSITIVE_INFINITY
      const due = connection.opened + config.maxAgeMs * (1 - config.jitter * spread(connection.id))
      if (now < due) return due
      if (connection.protocol === 'http1') endings.retire(connection, 'lifetime')
      else endings.close(connection, 'lifetime')
      // Its next response may be an event stream, its next request an upgrade: then it is long-lived after all.
      return now + retiredLookMs
    },
  }
}
