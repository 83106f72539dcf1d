import { createServer } from 'node:http'
import express from 'express'
import { peerpulse } from 'peerpulse'
import { WebSocketServer } from 'ws'

// The primary goes on listening for the others, so nobody in front has to notice that this worker leaves.
const pulse = peerpulse({ drain: { readinessDelayMs: 0, spreadMs: 1_000 } })

const app = express()
app.use(pulse.middleware())
app.use((_req, res) => {
  res.send(`hello from worker ${process.pid}\n`)
})
const server = createServer(app)
const wss = new WebSocketServer({ server, maxPayload: 16 * 1024 })
wss.on('connection', (webSocket) => {
  webSocket.on('message', (message) => webSocket.send(message))
})
pulse.attach(server, wss)
server.listen(Number(process.env.PORT ?? 3000))
