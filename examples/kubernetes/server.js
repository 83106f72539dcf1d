import { createServer } from 'node:http'
import express from 'express'
import { peerpulse } from 'peerpulse'
import { WebSocketServer } from 'ws'

const graceSeconds = Number(process.env.TERMINATION_GRACE_SECONDS ?? 30)

const pulse = peerpulse({
  // The balancer's idle timeout; the pings are derived from it.
  behind: { idleTimeoutMs: 60_000 },
  // All phases of the drain are fitted into the grace period of the pod.
  drain: { terminationGraceMs: graceSeconds * 1_000 },
  // A port of their own: a full app port does not keep the kubelet out, and nobody outside can ask.
  probes: { port: Number(process.env.PROBES_PORT ?? 9_000) },
  limits: { maxConnections: 2_000 },
})

const app = express()
app.use(pulse.middleware())
app.get('/', (_req, res) => {
  res.send('hello\n')
})
const server = createServer(app)
const wss = new WebSocketServer({ server, maxPayload: 16 * 1024 })
wss.on('connection', (webSocket) => {
  webSocket.on('message', (message) => webSocket.send(message))
})
pulse.attach(server, wss)
server.listen(Number(process.env.PORT ?? 3000), () => {
  const { port } = /** @type {import('node:net').AddressInfo} */ (server.address())
  console.log(`http://localhost:${port}`)
})
