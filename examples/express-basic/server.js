import express from 'express'
import { peerpulse } from 'peerpulse'
import { WebSocketServer } from 'ws'

// The first of the three lines. Nothing runs yet: no timer, no signal handler.
const pulse = peerpulse({ idle: { websocketMs: 15 * 60_000 } })

const app = express()
// Settings such as 'trust proxy' or 'case sensitive routing' go above the first app.use(): it creates Express' router.
// The second line. It comes first in the chain, so that a refused request costs no body parser and no session.
app.use(pulse.middleware())

/** Stands for a database. */
const database = {
  up: true,
  async ping() {
    if (!this.up) throw new Error('connection refused')
  },
}
// Readiness asks whether this process should get traffic, so a dependency belongs here and never into liveness:
// restarting the process would not bring the database back.
pulse.addCheck('database', () => database.ping())

app.get('/', (_req, res) => {
  res.json({ hello: 'world' })
})

// A drain lets it finish: send SIGTERM while it runs, and the answer still comes.
app.get('/slow', (req, res) => {
  const ms = Math.min(Number(req.query.ms) || 3_000, 20_000)
  const timer = setTimeout(() => res.json({ waitedMs: ms }), ms)
  // Of the response, not of the request: in Node the request's 'close' comes as soon as its body has been read.
  res.on('close', () => clearTimeout(timer))
})

app.post('/database/:state', (req, res) => {
  database.up = req.params.state === 'up'
  res.json({ up: database.up })
})

// Express 5 hands errors of listen() to this callback; who ignores its argument takes EADDRINUSE for success.
const server = app.listen(Number(process.env.PORT ?? 3000), (error) => {
  if (error) throw error
  const { port } = /** @type {import('node:net').AddressInfo} */ (server.address())
  console.log(`http://localhost:${port}`)
})

const wss = new WebSocketServer({ server, path: '/echo' })
wss.on('connection', (webSocket) => {
  webSocket.on('message', (data, isBinary) => webSocket.send(data, { binary: isBinary }))
})

// The third line: heartbeats, idle timeouts, close reasons and the drain. Before or after listen() is all the same.
pulse.attach(server, wss)
