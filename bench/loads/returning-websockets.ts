import { once } from 'node:events'
import { WebSocket } from 'ws'
import type { Commands } from '../harness/worker-main.js'

const atOnce = 100

export interface ReturningOptions {
  readonly port: number
  /** Where they come back: the instance that is left. */
  readonly nextPort: number
  /** `window`: at a random moment of the window that the close reason names; else after a fixed time, in ms. */
  readonly wait: 'window' | number
}

/** WebSockets that come back when they are closed. */
export default function start({ port, nextPort, wait }: ReturningOptions): Commands {
  /** When each came back, in ms. */
  const returns: number[] = []

  const open = async (at: number) => {
    const webSocket = new WebSocket(`ws://127.0.0.1:${at}/`)
    webSocket.on('error', () => {})
    await once(webSocket, 'open')
    return webSocket
  }

  const join = async () => {
    const webSocket = await open(port)
    webSocket.on('close', (_code, reason) => {
      setTimeout(async () => {
        returns.push(performance.now())
        // The bench may be over by then.
        await open(nextPort).catch(() => {})
      }, waitMs(reason.toString()))
    })
  }

  function waitMs(reason: string): number {
    if (wait !== 'window') return wait
    const [, least, most] = /reconnect=(\d+)\.\.(\d+)/.exec(reason) ?? []
    return Number(least) + Math.random() * (Number(most) - Number(least))
  }

  return {
    async connect(count: number) {
      for (let left = count; left > 0; left -= atOnce)
        await Promise.all(Array.from({ length: Math.min(atOnce, left) }, join))
    },
    /** When each came back, in ms after the first that did, once all have or it takes too long. */
    async returns(count: number, mostMs: number) {
      const end = performance.now() + mostMs
      while (returns.length < count && performance.now() < end)
        await new Promise((resolve) => setTimeout(resolve, 50))
      const [first = 0] = returns
      return returns.map((at) => at - first)
    },
  }
}
