// The app of the incident: Express and ws, and a stream of token updates for every client.
// `node server.js` runs it with peerpulse, `node server.js --bare` as the README of ws would have it.
import { createServer } from 'node:http'
import { setImmediate, setTimeout } from 'node:timers/promises'
import express from 'express'
import { peerpulse } from 'peerpulse'
import { WebSocketServer } from 'ws'
import { heartbeat } from './heartbeat.js'
import { tellAboutPulse, tellAboutWebSockets, tellListening, tellStreams } from './telemetry.js'
import { sendHistory, TokenStream } from './tokens.js'

const bare = process.argv.includes('--bare')
const limitBytes = Number(process.env.MEMORY_MIB ?? 256) * 1024 * 1024

const app = express()
const server = createServer(app)
const wss = new WebSocketServer({ server })

// The whole difference ------------------------------------------------------------------------------------------------

/** @type {import('peerpulse').Peerpulse | undefined} */
let pulse
if (bare) {
  heartbeat(wss, 1_000)
  tellAboutWebSockets(wss)
} else {
  // Everything is short, so that the story fits in a minute. In production leave the defaults, and set `idle`.
  pulse = peerpulse({
    heartbeat: { intervalMs: 1_000, timeoutMs: 1_500 },
    idle: { inboundMs: 3_000 },
    budget: { highWaterBytes: 256 * 1024, lowWaterBytes: 64 * 1024, stalledMs: 500 },
    // In a container peerpulse reads the limit by itself; the ceiling of this demo is the supervisor's.
    pressure: { memory: { limitBytes } },
    drain: { readinessDelayMs: 1_000, spreadMs: 1_000, closeTimeoutMs: 500, deadlineMs: 6_000 },
  })
  app.use(pulse.middleware())
  pulse.attach(server, wss)
  tellAboutPulse(pulse, wss)
}

wss.on('connection', (ws) => {
  const stream = new TokenStream(ws)
  tellStreams(TokenStream.running)
  const cancel = () => {
    stream.cancel()
    tellStreams(TokenStream.running)
  }
  // Whatever ends the connection, the stream ends with it.
  if (pulse) pulse.connectionOf(ws)?.track('token stream', cancel)
  else ws.on('close', cancel)
  // Readers acknowledge what they have shown; one that was away asks for what it missed.
  ws.on('message', (data) => {
    if (String(data) === 'history') sendHistory(ws)
  })
})

// The rest of the app -------------------------------------------------------------------------------------------------

/** A slow request, waiting for some database. */
app.get('/export', async (_req, res) => {
  await setTimeout(1_500)
  res.json({ exported: true })
})

/** A report that computes on the event loop, in chunks, and yields between them as one is told to. */
app.get('/report', async (req, res) => {
  for (let chunk = 0; chunk < Number(req.query.chunks); chunk++) {
    const end = performance.now() + 1_200
    while (performance.now() < end);
    await setImmediate()
  }
  res.json({ reported: true })
})

server.listen(Number(process.env.PORT ?? 0), '127.0.0.1', () => tellListening(server))
