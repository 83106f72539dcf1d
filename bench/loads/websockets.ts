import type { Commands } from '../harness/worker-main.js'
import { Crowd, type CrowdOptions } from './crowd.js'
import { maskedFrame, opcode } from './frames.js'

const turnMs = 10

/** WebSockets that answer pings, and that talk when they are told to. */
export default function start(options: CrowdOptions): Commands {
  const crowd = new Crowd(options)

  return {
    connect: (count: number) => crowd.connect(count),
    leave: (how?: 'end' | 'reset') => crowd.leave(how),
    open: () => crowd.open,
    whenClosed: (mostMs: number) => crowd.whenClosed(mostMs),
    /** Pings answered so far. */
    pongs: () => crowd.peers.reduce((sum, peer) => sum + peer.pongs, 0),
    /** Messages read so far. */
    messages: () => crowd.peers.reduce((sum, peer) => sum + peer.messages, 0),
    /** Sends so many messages, one a peer in turn; what the sockets do not take at once is waited for. */
    async say(count: number, bytes: number) {
      const frame = maskedFrame(opcode.binary, Buffer.alloc(bytes, 'x'))
      let said = 0
      while (said < count) {
        for (const peer of crowd.peers) {
          if (said === count || !peer.isFree) continue
          said++
          peer.say(frame)
        }
        await new Promise(setImmediate)
      }
    },
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
