import { setTimeout as sleep } from 'node:timers/promises'
import type { Latency } from '../loads/subscribers.js'
import { MemoryWatch } from './process-memory.js'
import { Worker } from './worker.js'

/** What everybody is sent: 1 MiB a second, each message a buffer of its own. */
const perSecond = 100
const messageBytes = 10 * 1024
/** All read for so long before some of them stop. */
const startMs = 3_000
const windowMs = 5_000
const lookMs = 50
/** For what is on its way when the feed ends. */
const deliveryMs = 30_000

export interface FeedPlan {
  readonly plugin: 'none' | 'peerpulse'
  readonly options?: object
  /** Clients that read to the end. */
  readonly readers: number
  /** Clients that stop reading after the start. */
  readonly deaf: number
  /** How long it lasts after they have stopped. */
  readonly seconds: number
  /** The server is ended when more than this is resident. */
  readonly killAtBytes?: number
}

export interface FeedResult {
  readonly memory: MemoryWatch
  /** Seconds from when the deaf stopped reading until it was ended for its memory. */
  readonly killedAfterS: number | undefined
  /** WebSockets that the server's peerpulse closed, by reason. */
  readonly closes: Record<string, number>
  /** Readers that are still connected. */
  readonly readersOpen: number
  /** Messages that were sent to readers, and those of them that did not come, or out of their turn. */
  readonly sent: number
  readonly lost: number
  /** Of the readers since the deaf stopped: of all, and of windows of 5 s. */
  readonly latency: Latency
  readonly windows: readonly Latency[]
}

const sum = (counts: Record<string, number>) => Object.values(counts).reduce((all, count) => all + count, 0)

/** Feeds subscribers of which some stop reading; server, readers and the deaf are processes of their own. */
export async function runFeed(plan: FeedPlan): Promise<FeedResult> {
  const { plugin, options = {}, readers, deaf, seconds, killAtBytes } = plan
  const workers: Worker[] = []
  const start = async (path: string, workerOptions: object) => {
    const worker = await Worker.start(path, workerOptions)
    workers.push(worker)
    return worker
  }
  try {
    const server = await start('stacks/feed', { plugin, options })
    const port = await server.call<number>('port')
    const reading = await start('loads/subscribers', { port, path: '/reader/' })
    const deafening = await start('loads/subscribers', { port, path: '/deaf/' })
    await reading.call('connect', readers)
    await deafening.call('connect', deaf)
    const memory = new MemoryWatch(server.pid, killAtBytes, () => void server.stop())
    try {
      await server.call('feed', perSecond, messageBytes)
      await sleep(startMs)
      await deafening.call('stopReading')
      await reading.call('beginLatency')

      const windows: Latency[] = []
      const began = performance.now()
      const endsAt = began + seconds * 1000
      while (performance.now() < endsAt && !server.hasEnded) {
        await Promise.race([sleep(Math.min(windowMs, endsAt - performance.now())), server.ended])
        windows.push(await reading.call<Latency>('latency'))
      }
      const latency = await reading.call<Latency>('wholeLatency')
      if (server.hasEnded) {
        if (memory.passedAtS === undefined) throw new Error(`the server ended: ${await server.ended}`)
        const killedAfterS = memory.passedAtS - startMs / 1000
        return {
          memory,
          killedAfterS,
          closes: {},
          readersOpen: 0,
          sent: Number.NaN,
          lost: Number.NaN,
          latency,
          windows,
        }
      }
      await server.call('stopFeed')
      const sentTo = await server.call<Record<string, number>>('sent')
      const sent = sum(
        Object.fromEntries(Object.entries(sentTo).filter(([path]) => path.startsWith('/reader/'))),
      )
      const deadline = performance.now() + deliveryMs
      let received = 0
      do {
        received = sum(await reading.call('received'))
        if (received < sent) await sleep(lookMs)
      } while (received < sent && performance.now() < deadline)
      const gaps = await reading.call<number>('gaps')
      return {
        memory,
        killedAfterS: undefined,
        closes: await server.call('closes'),
        readersOpen: await reading.call('open'),
        sent,
        // What is missing in the middle is missing in the sum too.
        lost: Math.max(sent - received, gaps),
        latency,
        windows,
      }
    } finally {
      memory.stop()
    }
  } finally {
    await Promise.all(workers.map((worker) => worker.stop()))
  }
}
