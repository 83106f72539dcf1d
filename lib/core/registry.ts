import type { CloseReason } from '../../types/close.js'
import type { PeerConnection } from './connection.js'
import { defaults } from './defaults.js'
import { peerOf, unknownAddress } from './peer-address.js'

/** The addresses of one IPv6 prefix, which are one peer. */
interface Prefix {
  readonly name: string
  addresses: number
  connections: number
}

interface Address {
  readonly address: string
  readonly prefix: Prefix | undefined
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
  readonly #addresses = new Map<string, Address>()
  readonly #prefixes = new Map<string, Prefix>()
  readonly #ipv6PrefixBits: number
  #cursor = 0

  constructor(ipv6PrefixBits: number = defaults.limits.ipv6PrefixBits) {
    this.#ipv6PrefixBits = ipv6PrefixBits
  }

  get size(): number {
    return this.#list.length
  }
  get peerCount(): number {
    let peers = this.#addresses.size
    for (const { addresses } of this.#prefixes.values()) peers -= addresses - 1
    return peers
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

  /** How many connections a connection's address has, and the prefix of an IPv6 one; 0 where nobody knows who the peer is. */
  ofPeer({ remoteAddress }: PeerConnection): { address: number; prefix: number } {
    const address = remoteAddress === unknownAddress ? undefined : this.#addresses.get(remoteAddress)
    return { address: address?.connections ?? 0, prefix: address?.prefix?.connections ?? 0 }
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

  /** All connections from one address share one string: each socket's comes as a new one. */
  #enter(connection: PeerConnection, address: string): void {
    let peer = this.#addresses.get(address)
    if (peer === undefined) {
      peer = { address, prefix: this.#enterPrefix(address), connections: 0 }
      this.#addresses.set(address, peer)
    }
    peer.connections++
    if (peer.prefix !== undefined) peer.prefix.connections++
    connection.remoteAddress = peer.address
  }

  #leave({ remoteAddress }: PeerConnection): void {
    const peer = this.#addresses.get(remoteAddress)
    if (peer === undefined) return
    const { prefix } = peer
    if (prefix !== undefined) prefix.connections--
    if (--peer.connections > 0) return
    this.#addresses.delete(remoteAddress)
    if (prefix !== undefined && --prefix.addresses === 0) this.#prefixes.delete(prefix.name)
  }

  #enterPrefix(address: string): Prefix | undefined {
    const name = peerOf(address, this.#ipv6PrefixBits)
    if (name === address) return undefined
    let prefix = this.#prefixes.get(name)
    if (prefix === undefined) {
      prefix = { name, addresses: 0, connections: 0 }
      this.#prefixes.set(name, prefix)
    }
    prefix.addresses++
    return prefix
  }
}
