/** A server of WebSockets in a process of its own, bare or with a pulse, that tells its heap when asked. */
import { createServer } from 'node:http'
import type { AddressInfo } from 'node:net'
import { peerpulse } from 'peerpulse'
import { WebSocketServer } from 'ws'
import { pause } from '../support/wait.js'

const server = createServer()
const wss = new WebSocketServer({ server })
wss.on('connection', (webSocket) => {
  webSocket.on('message', () => {})
  webSocket.on('error', () => {})
})
if (process.argv[2] === 'peerpulse') peerpulse({ drain: false }).attach(server, wss)

/** Buffers that were freed are taken off the count by a thread of V8's, some time after the collection. */
const settlingMs = 50
const settledBytes = 4_096

/** The heap without its garbage, once so many WebSockets are open. */
async function heapWith(count: number): Promise<number> {
  while (wss.clients.size < count) await pause(5)
  for (let last = 0; ; ) {
    globalThis.gc?.()
    await pause(settlingMs)
    globalThis.gc?.()
    const { heapUsed, external } = process.memoryUsage()
    const bytes = heapUsed + external
    if (Math.abs(bytes - last) < settledBytes) return bytes
    last = bytes
  }
}

process.on('message', async (count: number) => process.send?.(await heapWith(count)))
process.on('disconnect', () => process.exit())
server.listen({ port: 0, host: '127.0.0.1', backlog: 4_096 }, () => {
  process.send?.((server.address() as AddressInfo).port)
})
