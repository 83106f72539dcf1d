import { setTimeout as sleep } from 'node:timers/promises'
import { type PeerOptions, RawWebSocket } from './raw-websocket.js'

export interface CrowdOptions extends PeerOptions {
  /** Handshakes under way at a time. */
  readonly concurrency?: number
  /** Each peer connects from a loopback address of its own. */
  readonly ownAddresses?: boolean
}

const lookMs = 5

/** One of 127.1.0.1 to 127.254.255.254, the same for the same number. */
function loopbackAddress(number: number): string {
  return `127.${1 + Math.floor(number / 65_024)}.${Math.floor(number / 254) % 256}.${1 + (number % 254)}`
}

/** Many peers of one server. */
export class Crowd {
  readonly peers: RawWebSocket[] = []
  readonly #options: CrowdOptions

  constructor(options: CrowdOptions) {
    this.#options = options
  }

  get open(): number {
    return this.peers.filter((peer) => peer.open).length
  }

  async connect(count: number): Promise<void> {
    const { concurrency = 100, ownAddresses = false, ...options } = this.#options
    let left = count
    const connectSome = async () => {
      while (left-- > 0) {
        const localAddress = ownAddresses ? loopbackAddress(this.peers.length) : undefined
        const peer = new RawWebSocket(localAddress === undefined ? options : { ...options, localAddress })
        this.peers.push(peer)
        await peer.connect()
      }
    }
    await Promise.all(Array.from({ length: concurrency }, connectSome))
  }

  /** Waits until nobody is left, but no longer than `mostMs`; tells how many got a close frame. */
  async whenClosed(mostMs: number): Promise<number> {
    const deadline = performance.now() + mostMs
    while (performance.now() < deadline && this.peers.some((peer) => peer.open)) await sleep(lookMs)
    return this.peers.filter(({ gotClose }) => gotClose).length
  }

  /** All of them go, with a FIN or with an RST. */
  leave(how: 'end' | 'reset' = 'end'): void {
    for (const peer of this.peers.splice(0)) how === 'end' ? peer.destroy() : peer.reset()
  }
}
