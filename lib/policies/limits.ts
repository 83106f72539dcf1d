import type { PeerConnection } from '../core/connection.js'
import type { Endings } from '../core/endings.js'
import type { Policy } from '../core/policy.js'
import type { Refusal } from '../core/refusal.js'
import type { Registry } from '../core/registry.js'

/** Beyond this share of `maxConnections`, a polite answer costs more than it saves. */
const hardShare = 1.1
/** A prefix may be one machine that takes its addresses as it likes, or the few machines of a household. */
const prefixShare = 2
/** Spread, so that those who were refused together do not come back together. */
const retryAfterS = () => 5 + Math.floor(Math.random() * 6)

/** Closes handshakes that never complete: TLS, the first request's headers, an upgrade. */
export function createHandshakeDeadline(timeoutMs: number, endings: Endings): Policy {
  return {
    visit(connection, now) {
      const { phase } = connection
      const waiting = phase === 'tls-handshake' || phase === 'awaiting-request' || phase === 'upgrade'
      if (!waiting || connection.state !== 'open') return Number.POSITIVE_INFINITY
      const due = (connection.exchange?.upgrade?.since ?? connection.opened) + timeoutMs
      if (now < due) return due
      endings.close(connection, 'handshake-timeout')
      return now + timeoutMs
    },
  }
}

/** The caps on connections, in all and of one peer. */
export class ConnectionLimits {
  readonly #config: { maxConnections: number | false; maxPerPeer: number | false }
  readonly #registry: Registry

  constructor(config: { maxConnections: number | false; maxPerPeer: number | false }, registry: Registry) {
    this.#config = config
    this.#registry = registry
  }

  /** Whether one more socket is to be destroyed at accept. */
  overHardCap(): boolean {
    const { maxConnections } = this.#config
    return maxConnections !== false && this.#registry.size >= Math.ceil(maxConnections * hardShare)
  }

  /** Whether a registered connection is one too many; its next request is then refused. `peerIsKnown`: not yet, behind a proxy. */
  judge(connection: PeerConnection, peerIsKnown: boolean): Refusal | undefined {
    const { maxConnections, maxPerPeer } = this.#config
    if (maxConnections !== false && this.#registry.size > maxConnections) {
      return {
        status: 503,
        reason: 'limit',
        detail: `more than ${maxConnections} connections`,
        retryAfterS: retryAfterS(),
      }
    }
    if (!peerIsKnown || maxPerPeer === false) return undefined
    const { address, prefix } = this.#registry.ofPeer(connection)
    if (address <= maxPerPeer && prefix <= maxPerPeer * prefixShare) return undefined
    const whose = address > maxPerPeer ? 'address' : 'IPv6 prefix'
    const most = address > maxPerPeer ? maxPerPeer : maxPerPeer * prefixShare
    return {
      status: 429,
      reason: 'limit',
      detail: `more than ${most} connections from one ${whose}`,
      retryAfterS: retryAfterS(),
    }
  }
}
