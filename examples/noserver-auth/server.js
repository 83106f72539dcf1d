import { createServer } from 'node:http'
import { setTimeout } from 'node:timers/promises'
import { peerpulse } from 'peerpulse'
import { WebSocketServer } from 'ws'

const pulse = peerpulse({
  idle: { websocketMs: 15 * 60_000 },
  // Nothing in front of this example has to notice that it is not ready. Behind a balancer leave the 5 s default.
  drain: { readinessDelayMs: 0 },
})

/** @typedef {{ name: string, admin: boolean }} User */
/** @type {Map<string, User>} */
const users = new Map([
  ['alice-token', { name: 'alice', admin: true }],
  ['bob-token', { name: 'bob', admin: false }],
])

/**
 * Stands for a look-up in a session store. A page cannot set headers on a WebSocket: there, read a cookie instead, and
 * check the `Origin`.
 *
 * @param {import('node:http').IncomingMessage} req
 */
async function authenticate(req) {
  await setTimeout(Number(process.env.AUTH_MS ?? 50))
  const token = /^Bearer (.+)$/.exec(req.headers.authorization ?? '')?.[1]
  return token === undefined ? undefined : users.get(token)
}

const feed = new WebSocketServer({ noServer: true })
const admin = new WebSocketServer({ noServer: true })
const routes = new Map([
  ['/feed', { wss: feed, admits: () => true }],
  ['/admin', { wss: admin, admits: (/** @type {User} */ user) => user.admin }],
])
for (const [path, { wss }] of routes) {
  wss.on('connection', (webSocket, /** @type {User} */ user) => {
    webSocket.send(`hello ${user.name}, this is ${path}`)
    webSocket.on('message', (data) => webSocket.send(`${user.name}: ${data}`))
  })
}

const server = createServer((_req, res) => {
  res.end('WebSockets on /feed and /admin\n')
})

// When Node emits 'upgrade' it has taken its own error listener off the socket. A peer that resets while authenticate()
// waits would end the process with an uncaught ECONNRESET; peerpulse's listener, put on at accept, stays.
server.on('upgrade', (req, socket, head) => {
  // An async listener that rejects is an unhandled rejection, and ends the process too.
  upgrade(req, socket, head).catch((error) => {
    console.error(error)
    refuse(socket, '500 Internal Server Error')
  })
})

/**
 * @param {import('node:http').IncomingMessage} req
 * @param {import('node:stream').Duplex} socket
 * @param {Buffer} head
 */
async function upgrade(req, socket, head) {
  // Only the path: the query of a WebSocket URL is the peer's, as all else in it.
  const route = routes.get((req.url ?? '').split('?', 1)[0])
  if (route === undefined) return refuse(socket, '404 Not Found')
  const user = await authenticate(req)
  // The peer may have gone meanwhile.
  if (socket.destroyed) return
  if (user === undefined) return refuse(socket, '401 Unauthorized', 'WWW-Authenticate: Bearer')
  if (!route.admits(user)) return refuse(socket, '403 Forbidden')
  route.wss.handleUpgrade(req, socket, head, (webSocket) => route.wss.emit('connection', webSocket, user))
}

/**
 * The socket is ours since 'upgrade', and so is the answer. `destroy()` alone would show the peer no status, and to a
 * proxy in between it looks like a server that is down.
 *
 * @param {import('node:stream').Duplex} socket
 * @param {string} status
 * @param {string[]} headers
 */
function refuse(socket, status, ...headers) {
  socket.end(
    [`HTTP/1.1 ${status}`, 'Connection: close', 'Content-Length: 0', ...headers, '', ''].join('\r\n'),
  )
}

// With noServer a WebSocketServer knows no http server. Attach that too: without it WebSockets are watched from their
// 'connection' on, but nothing guards the upgrade before, refuses it in a drain, or answers a probe.
// There is no middleware here, and the probes answer all the same: an attached server is asked before its listeners.
pulse.attach(server, feed, admin)

server.listen(Number(process.env.PORT ?? 3000), () => {
  const { port } = /** @type {import('node:net').AddressInfo} */ (server.address())
  console.log(`http://localhost:${port}`)
})
