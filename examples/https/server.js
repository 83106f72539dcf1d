import { readFileSync } from 'node:fs'
import { createServer } from 'node:https'
import express from 'express'
import { peerpulse } from 'peerpulse'
import { WebSocketServer } from 'ws'

/** @param {string} name */
const beside = (name) => readFileSync(new URL(name, import.meta.url))

const pulse = peerpulse({
  // Covers the TLS handshake, the first request's headers and the upgrade. Node's own limit for the handshake is 120 s.
  limits: { handshakeTimeoutMs: 5_000 },
  // Nothing in front of this example has to notice that it is not ready. Behind a balancer leave the 5 s default.
  drain: { readinessDelayMs: 0 },
})

const app = express()
app.use(pulse.middleware())
app.get('/', (req, res) => {
  // On https `req.socket` is the TLS socket; the connection is the same from TCP accept to close.
  const connection = pulse.connectionOf(req)
  res.json({ connection: connection?.id, protocol: connection?.protocol })
})

const server = createServer(
  {
    // FOR THIS EXAMPLE ONLY: its private key is public. TLS_KEY and TLS_CERT name files of your own.
    key: process.env.TLS_KEY ? readFileSync(process.env.TLS_KEY) : beside('example-only.key.pem'),
    cert: process.env.TLS_CERT ? readFileSync(process.env.TLS_CERT) : beside('example-only.cert.pem'),
  },
  app,
)
const wss = new WebSocketServer({ server })
wss.on('connection', (webSocket) => {
  webSocket.on('message', (data, isBinary) => webSocket.send(data, { binary: isBinary }))
})

// A WebSocketServer brings the server it sits on, so this one would do. Naming both is as good.
pulse.attach(wss)

// No 'tlsClientError' or 'clientError' listener is needed, and adding the latter would make its sockets yours to close.
// What went wrong is in the close reason.
pulse.on('connection:close', ({ remoteAddress, closeReason, evidence }) => {
  console.log(`closed ${remoteAddress}: ${closeReason}${evidence?.code ? ` (${evidence.code})` : ''}`)
})

server.listen(Number(process.env.PORT ?? 3000), () => {
  const { port } = /** @type {import('node:net').AddressInfo} */ (server.address())
  console.log(`https://localhost:${port}`)
})
