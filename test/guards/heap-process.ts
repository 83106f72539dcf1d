/** A server of WebSockets in a process of its own, bare or with a pulse, that tells its heap when asked. */
import { createServer } from 'node:http'
import type { AddressInfo } from 'node:net'
import { setImmediate as nextTurn } from 'node:timers/promises'
import { peerpulse } from 'peerpulse'
import { WebSocketServer } from 'ws'

const server = createServer()
const wss = new WebSocketServer({ server })
wss.on('connection', (webSocket) => {
  webSocket.on('message', () => {})
  webSocket.on('error', () => {})
})
if (process.argv[2] === 'peerpulse') peerpulse({ drain: false }).attach(server, wss)

/** The heap without its garbage, once so many WebSockets are open. */
async function heapWith(count: number): Promise<number> {
  while (wss.clients.size < count) await nextTurn()
  // What is freed by one collection may let the next one free more.
  for (let i = 0; i < 4; i++) {
    await nextTurn()
    globalThis.gc?.()
  }
  const { heapUsed, external } = process.memoryUsage()
  return heapUsed + external
}

process.on('message', async (count: number) => process.send?.(await heapWith(count)))
process.on('disconnect', () => process.exit())
server.listen({ port: 0, host: '127.0.0.1', backlog: 4_096 }, () => {
  process.send?.((server.address() as AddressInfo).port)
})
