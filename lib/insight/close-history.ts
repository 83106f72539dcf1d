import { LRUCache } from 'lru-cache'
import type { CloseReason, CloseRecord, History } from '../../types/close.js'
import type { PeerConnection } from '../core/connection.js'
import { peerOf } from '../core/peer-address.js'

/** There may be one for every connection; the closes, which most do not have yet, are made with the first. */
class Peer {
  opens = 0
  closes: Partial<Record<CloseReason, number>> | undefined
  /** Milliseconds since the history began: small integers, while those of the epoch would be doubles. */
  readonly firstSeen: number
  lastSeen: number

  constructor(now: number) {
    this.firstSeen = now
    this.lastSeen = now
  }
}

/** Remembers the last closes and what each peer did lately, both bounded. */
export class CloseHistory {
  readonly #closes: LRUCache<number, CloseRecord>
  readonly #peers: LRUCache<string, Peer>
  readonly #ipv6PrefixBits: number
  readonly #beganAt = Date.now()

  constructor(config: { maxCloses: number; maxPeers: number }, ipv6PrefixBits: number) {
    this.#ipv6PrefixBits = ipv6PrefixBits
    this.#closes = new LRUCache({ max: config.maxCloses })
    this.#peers = new LRUCache({ max: config.maxPeers })
  }

  noteOpen({ remoteAddress }: PeerConnection): void {
    this.#see(remoteAddress).opens++
  }

  /** A proxy named the peer: the open is that peer's, not the proxy's. */
  noteRename(connection: PeerConnection, before: string): void {
    const name = peerOf(before, this.#ipv6PrefixBits)
    const proxy = this.#peers.get(name)
    if (proxy !== undefined && --proxy.opens === 0 && proxy.closes === undefined) this.#peers.delete(name)
    this.noteOpen(connection)
  }

  /** Called with a connection that has just closed. */
  note(connection: PeerConnection, protocol: string): void {
    const { id, remoteAddress, openedAt, closeReason, evidence } = connection
    if (closeReason === undefined || evidence === undefined) return
    const peer = this.#see(remoteAddress)
    peer.closes ??= {}
    peer.closes[closeReason] = (peer.closes[closeReason] ?? 0) + 1
    const closedAt = Date.now()
    this.#closes.set(id, { id, protocol, remoteAddress, openedAt, closedAt, reason: closeReason, evidence })
  }

  #see(remoteAddress: string): Peer {
    const now = Date.now() - this.#beganAt
    const name = peerOf(remoteAddress, this.#ipv6PrefixBits)
    let peer = this.#peers.get(name)
    if (peer === undefined) {
      peer = new Peer(now)
      this.#peers.set(name, peer)
    } else peer.lastSeen = now
    return peer
  }

  /** Newest first, as plain JSON that the caller may keep or change. */
  read(): History {
    return {
      closes: [...this.#closes.values()].map((record) => ({ ...record, evidence: { ...record.evidence } })),
      peers: [...this.#peers].map(([remoteAddress, { opens, closes, firstSeen, lastSeen }]) => ({
        remoteAddress,
        opens,
        closes: { ...closes },
        firstSeenAt: this.#beganAt + firstSeen,
        lastSeenAt: this.#beganAt + lastSeen,
      })),
    }
  }
}
