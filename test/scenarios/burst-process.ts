import { createServer } from 'node:http'
import type { AddressInfo } from 'node:net'
import { peerpulse } from 'peerpulse'
import { WebSocketServer } from 'ws'

/** A small box in which a burst takes all the memory there is, in Buffers that are dropped as soon as it is critical. */
const roomBytes = 96 * 1024 ** 2
const chunkBytes = 256 * 1024
const inBurst = 8
/** Twice the room: by then it is critical, or never. */
const mostChunks = (2 * roomBytes) / chunkBytes

const pulse = peerpulse({
  drain: false,
  pressure: {
    memory: { limitBytes: process.memoryUsage.rss() + roomBytes },
    warmUpMs: 0,
    dwellMs: 1_000,
  },
})
const server = createServer((req, res) => {
  if (req.url === '/burst') burst()
  res.end('served')
})
pulse.attach(server, new WebSocketServer({ server }))

function burst(): void {
  const held: Buffer[] = []
  const timer = setInterval(() => {
    if (pulse.snapshot().pressure.level === 'critical' || held.length >= mostChunks) {
      clearInterval(timer)
      held.length = 0
      return
    }
    for (let i = 0; i < inBurst; i++) held.push(Buffer.alloc(chunkBytes, 1))
  }, 20)
}

process.on('disconnect', () => process.exit())
server.listen(0, '127.0.0.1', () => process.send?.((server.address() as AddressInfo).port))
