import { createHistogram } from 'node:perf_hooks'
import { readStamp } from '../harness/stamp.js'
import type { Commands } from '../harness/worker-main.js'
import { RawWebSocket } from './raw-websocket.js'

interface Options {
  readonly port: number
  /** What their paths begin with. */
  readonly path: string
}

/** What subscribers got since they were asked last, in milliseconds after a message was due. */
export interface Latency {
  readonly count: number
  readonly p50: number
  readonly p99: number
  readonly max: number
}

/** WebSockets that read the messages of `stacks/feed`, until they are told to stop. */
export default function start({ port, path }: Options): Commands {
  const peers: RawWebSocket[] = []
  const received: Record<string, number> = {}
  let gaps = 0
  // In microseconds.
  const all = createHistogram()
  const window = createHistogram()
  const read = (histogram: typeof all): Latency => ({
    count: histogram.count,
    p50: histogram.percentile(50) / 1e3,
    p99: histogram.percentile(99) / 1e3,
    max: histogram.count === 0 ? 0 : histogram.max / 1e3,
  })

  return {
    async connect(count: number) {
      for (let i = 0; i < count; i++) {
        const name = `${path}${i}`
        const peer = new RawWebSocket({ port, path: name })
        let last = 0
        received[name] = 0
        peer.onMessage = (message) => {
          const { number, lateMs } = readStamp(message)
          received[name] = (received[name] ?? 0) + 1
          gaps += number - last - 1
          last = number
          const us = Math.max(1, Math.round(lateMs * 1e3))
          all.record(us)
          window.record(us)
        }
        peers.push(peer)
        await peer.connect()
      }
    },
    open: () => peers.filter((peer) => peer.open).length,
    stopReading() {
      for (const peer of peers) peer.stopReading()
    },
    received: () => received,
    /** Messages that were skipped in the middle. */
    gaps: () => gaps,
    /** Of what came since the last call. */
    latency(): Latency {
      const latency = read(window)
      window.reset()
      return latency
    },
    /** Forgets what came before. */
    beginLatency() {
      all.reset()
      window.reset()
    },
    wholeLatency: () => read(all),
  }
}
