import { LRUCache } from 'lru-cache'
import type { CloseRecord, History, PeerRecord } from '../../types/close.js'
import type { PeerConnection } from '../core/connection.js'

/** Remembers the last closes and what each peer did lately, both bounded. */
export class CloseHistory {
  readonly #closes: LRUCache<number, CloseRecord>
  readonly #peers: LRUCache<string, PeerRecord>

  constructor(config: { maxCloses: number; maxPeers: number }) {
    this.#closes = new LRUCache({ max: config.maxCloses })
    this.#peers = new LRUCache({ max: config.maxPeers })
  }

  noteOpen({ remoteAddress }: PeerConnection): void {
    const peer = this.#peer(remoteAddress)
    peer.opens++
    peer.lastSeenAt = Date.now()
  }

  /** A proxy named the peer: the open is that peer's, not the proxy's. */
  noteRename(connection: PeerConnection, before: string): void {
    const proxy = this.#peers.get(before)
    if (proxy !== undefined && --proxy.opens === 0 && Object.keys(proxy.closes).length === 0)
      this.#peers.delete(before)
    this.noteOpen(connection)
  }

  /** Called with a connection that has just closed. */
  note(connection: PeerConnection, protocol: string): void {
    const { id, remoteAddress, openedAt, closeReason, evidence } = connection
    if (closeReason === undefined || evidence === undefined) return
    const peer = this.#peer(remoteAddress)
    peer.lastSeenAt = Date.now()
    peer.closes[closeReason] = (peer.closes[closeReason] ?? 0) + 1
    const closedAt = peer.lastSeenAt
    this.#closes.set(id, { id, protocol, remoteAddress, openedAt, closedAt, reason: closeReason, evidence })
  }

  #peer(remoteAddress: string): PeerRecord {
    let peer = this.#peers.get(remoteAddress)
    if (peer === undefined) {
      const now = Date.now()
      peer = { remoteAddress, opens: 0, closes: {}, firstSeenAt: now, lastSeenAt: now }
      this.#peers.set(remoteAddress, peer)
    }
    return peer
  }

  /** Newest first, as plain JSON that the caller may keep or change. */
  read(): History {
    return {
      closes: [...this.#closes.values()].map((record) => ({ ...record, evidence: { ...record.evidence } })),
      peers: [...this.#peers.values()].map((peer) => ({ ...peer, closes: { ...peer.closes } })),
    }
  }
}
