import type { Commands } from '../harness/worker-main.js'
import { Crowd, type CrowdOptions } from './crowd.js'

const turnMs = 10

/** WebSockets that answer pings, and that talk when they are told to. */
export default function start(options: CrowdOptions): Commands {
  const crowd = new Crowd(options)

  return {
    connect: (count: number) => crowd.connect(count),
    leave: () => crowd.leave(),
    open: () => crowd.open,
    whenClosed: (mostMs: number) => crowd.whenClosed(mostMs),
    /** Pings answered so far. */
    pongs: () => crowd.peers.reduce((sum, peer) => sum + peer.pongs, 0),
    /** From here on every peer sends a message once a period; they take turns, so that the messages are spread over it. */
    talk(periodMs: number) {
      const began = performance.now()
      let said = 0
      setInterval(() => {
        const due = ((performance.now() - began) / periodMs) * crowd.peers.length
        for (; said < due; said++) crowd.peers[said % crowd.peers.length]?.say()
      }, turnMs)
    },
  }
}
