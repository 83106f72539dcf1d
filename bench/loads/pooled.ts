import { once } from 'node:events'
import { connect, type Socket } from 'node:net'
import { setTimeout as sleep } from 'node:timers/promises'
import type { Commands } from '../harness/worker-main.js'

const request = 'GET / HTTP/1.1\r\nHost: bench\r\n\r\n'
const concurrency = 100
const lookMs = 5

/** Keep-alive connections as a pool holds them: each has had one response, and sends no further request. */
export default function start({ port }: { port: number }): Commands {
  const sockets: Socket[] = []

  async function open(): Promise<void> {
    const socket = connect({ port, host: '127.0.0.1', noDelay: true })
    sockets.push(socket)
    socket.write(request)
    await once(socket, 'data')
    socket.on('error', () => {})
    socket.resume()
  }

  return {
    async connect(count: number) {
      let left = count
      const openSome = async () => {
        while (left-- > 0) await open()
      }
      await Promise.all(Array.from({ length: concurrency }, openSome))
    },
    open: () => sockets.filter(({ closed }) => !closed).length,
    /** Waits until nobody is left, but no longer than `mostMs`. */
    async whenClosed(mostMs: number) {
      const deadline = performance.now() + mostMs
      while (performance.now() < deadline && sockets.some(({ closed }) => !closed)) await sleep(lookMs)
    },
  }
}
