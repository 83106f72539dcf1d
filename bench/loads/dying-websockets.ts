import { setTimeout as sleep } from 'node:timers/promises'
import type { Commands } from '../harness/worker-main.js'
import { Crowd, type CrowdOptions } from './crowd.js'
import type { RawWebSocket } from './raw-websocket.js'

const lookMs = 50

/** WebSockets that answer pings until they die: then they keep the socket open and say nothing any more. */
export default function start(options: CrowdOptions): Commands {
  const crowd = new Crowd(options)
  const dying: RawWebSocket[] = []

  return {
    connect: (count: number) => crowd.connect(count),
    open: () => crowd.open,
    /** Every peer sends a message in the same instant. */
    sayTogether() {
      for (const peer of crowd.peers) peer.say()
    },
    /** Has `count` peers die, each at a random moment of the next `withinMs`. */
    async die(count: number, withinMs: number) {
      // Every so-and-so-manieth, so that no part of the order in which they came is spared.
      const step = crowd.peers.length / count
      for (let i = 0; i < count; i++) dying.push(crowd.peers[Math.floor(i * step)] as RawWebSocket)
      await Promise.all(
        dying.map(async (peer) => {
          if (withinMs > 0) await sleep(Math.random() * withinMs)
          peer.silent = true
        }),
      )
    },
    /** Milliseconds from the last byte that each dead peer sent until the server closed it; those not closed in time are left out. */
    async silences(waitMs: number) {
      const deadline = performance.now() + waitMs
      while (performance.now() < deadline && dying.some((peer) => peer.open)) await sleep(lookMs)
      return dying.flatMap(({ closedAt, lastSentAt }) =>
        closedAt === undefined ? [] : [closedAt - lastSentAt],
      )
    },
  }
}
