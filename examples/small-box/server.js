import express from 'express'
import { peerpulse } from 'peerpulse'
import { WebSocketServer } from 'ws'

const MiB = 1024 * 1024

const pulse = peerpulse({
  idle: { websocketMs: 15 * 60_000, inboundMs: 60 * 60_000 },
  // A megabyte for each peer is much on a small box: what does not fit any more is better skipped or closed.
  budget: { perConnectionBytes: 4 * MiB, highWaterBytes: 256 * 1024, lowWaterBytes: 64 * 1024 },
  pressure: {
    // In a container leave this out: its limit is found. LIMIT_MIB is for trying this on a large machine.
    ...(process.env.LIMIT_MIB && { memory: { limitBytes: Number(process.env.LIMIT_MIB) * MiB } }),
    // Who pays goes last; crawlers go first.
    priority: ({ url, headers }) => (url === '/pay' ? 1 : /bot/i.test(headers['user-agent'] ?? '') ? -1 : 0),
  },
  drain: { readinessDelayMs: 0 },
  log: {
    info() {},
    warn: (_, message) => console.log(message),
    error: (_, message) => console.error(message),
  },
})

const app = express()
app.use(pulse.middleware())
app.get('/', (_req, res) => res.send('hello\n'))
app.post('/pay', (_req, res) => res.send('paid\n'))
app.get('/memory', (_req, res) => {
  const { pressure, connections } = pulse.snapshot()
  res.json({ pressure, connections })
})

const server = app.listen(Number(process.env.PORT ?? 3000), (error) => {
  if (error) throw error
  const { port } = /** @type {import('node:net').AddressInfo} */ (server.address())
  console.log(`http://localhost:${port}`)
})
// The default maxPayload of ws is 100 MiB, and its compression takes up to 300 KB a connection: neither fits here.
const wss = new WebSocketServer({ server, path: '/feed', maxPayload: 64 * 1024, perMessageDeflate: false })
pulse.attach(server, wss)

pulse.on('connection:close', ({ id, closeReason, evidence }) => {
  if (closeReason === 'slow-consumer' || closeReason === 'shed') {
    console.log(`connection ${id} closed: ${closeReason}, ${evidence?.bufferedBytes} bytes unsent`)
  }
})

// A feed: every 20 ms a message of 10 KiB for everyone, made for each of them, as if it depended on who he is.
setInterval(() => {
  for (const webSocket of wss.clients) {
    // A feed may skip: whoever is congested gets the next one that finds room. Set FEED=all to see what happens if not.
    if (process.env.FEED !== 'all' && pulse.connectionOf(webSocket)?.congested) continue
    webSocket.send(Buffer.alloc(10 * 1024, 1))
  }
}, 20).unref()
