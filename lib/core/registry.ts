import type { CloseReason } from '../../types/close.js'
import type { PeerConnection } from './connection.js'

interface Peer {
  readonly address: string
  connections: number
}

/**
 * Every open connection of a pulse, in a dense array (so that a bounded pass can go on where the last one stopped),
 * and how many each peer has.
 */
export class Registry {
  opened = 0
  bufferedBytes = 0
  /** Messages that a broadcast kept from congested peers. */
  skipped = 0
  readonly closed = new Map<CloseReason, number>()
  readonly #list: PeerConnection[] = []
  /** Bounded by the open connections: an address without one is taken out. */
  readonly #peers = new Map<string, Peer>()
  #cursor = 0

  get size(): number {
    return this.#list.length
  }
  get peerCount(): number {
    return this.#peers.size
  }

  add(connection: PeerConnection): void {
    connection.index = this.#list.length
    this.#list.push(connection)
    this.opened++
    this.#enter(connection, connection.remoteAddress)
  }

  remove(connection: PeerConnection): void {
    const { index } = connection
    if (index === -1) return
    const last = this.#list.pop() as PeerConnection
    if (last !== connection) {
      this.#list[index] = last
      last.index = index
    }
    connection.index = -1
    this.bufferedBytes -= connection.bufferedSample
    connection.bufferedSample = 0
    this.#leave(connection)
  }

  /** The peer has another name than its socket says: a trusted proxy named it. */
  rename(connection: PeerConnection, address: string): void {
    if (connection.remoteAddress === address || connection.index === -1) return
    this.#leave(connection)
    this.#enter(connection, address)
  }

  /** How many connections an address has. */
  ofPeer(address: string): number {
    return this.#peers.get(address)?.connections ?? 0
  }

  countClosed(reason: CloseReason): void {
    this.closed.set(reason, (this.closed.get(reason) ?? 0) + 1)
  }

  /** Notes what a connection buffers, and keeps the sum. */
  noteBuffered(connection: PeerConnection, bytes: number): void {
    if (connection.index === -1) return
    this.bufferedBytes += bytes - connection.bufferedSample
    connection.bufferedSample = bytes
  }

  /** Calls `look` for at most `most` connections, from where the last such pass stopped. */
  look(most: number, look: (connection: PeerConnection) => void): void {
    for (let left = Math.min(most, this.#list.length); left > 0; left--) {
      if (this.#cursor >= this.#list.length) this.#cursor = 0
      const connection = this.#list[this.#cursor++]
      if (connection === undefined) break
      look(connection)
    }
  }

  /** A copy, since whoever iterates may close what he sees. */
  all(): PeerConnection[] {
    return [...this.#list]
  }

  [Symbol.iterator](): Iterator<PeerConnection> {
    return this.all()[Symbol.iterator]()
  }

  /** All connections of a peer share one string: each socket's address comes as a new one. */
  #enter(connection: PeerConnection, address: string): void {
    let peer = this.#peers.get(address)
    if (peer === undefined) {
      peer = { address, connections: 0 }
      this.#peers.set(address, peer)
    }
    peer.connections++
    connection.remoteAddress = peer.address
  }

  #leave({ remoteAddress }: PeerConnection): void {
    const peer = this.#peers.get(remoteAddress)
    if (peer !== undefined && --peer.connections === 0) this.#peers.delete(remoteAddress)
  }
}
