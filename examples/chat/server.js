import { setInterval } from 'node:timers/promises'
import { fileURLToPath } from 'node:url'
import express from 'express'
import { peerpulse } from 'peerpulse'
import { WebSocketServer } from 'ws'

const pulse = peerpulse({
  idle: {
    // Nothing said and nothing heard. Pings and pongs do not count, or no connection would ever be idle.
    websocketMs: Number(process.env.IDLE_MS ?? 15 * 60_000),
    // Nothing said: a tab that was forgotten with its clock on is still pushed to, so only this finds it.
    inboundMs: Number(process.env.SILENT_MS ?? 60 * 60_000),
  },
  // Nothing in front of this example has to notice that it is not ready. Behind a balancer leave the 5 s default.
  drain: { readinessDelayMs: 0 },
})

const app = express()
app.use(pulse.middleware())
app.use(express.static(fileURLToPath(new URL('public', import.meta.url))))

const server = app.listen(Number(process.env.PORT ?? 3000), (error) => {
  if (error) throw error
  const { port } = /** @type {import('node:net').AddressInfo} */ (server.address())
  console.log(`http://localhost:${port}`)
})

// The default maxPayload of ws is 100 MiB: one peer could buffer that much here.
const wss = new WebSocketServer({ server, path: '/chat', maxPayload: 16 * 1024 })
pulse.attach(server, wss)

/** @type {Set<import('peerpulse').Connection>} */
const present = new Set()

/** @param {object} message */
function tellEveryone(message) {
  // Who does not read is left out instead of being buffered for; a chat line is not worth the memory of the others.
  pulse.broadcast(wss, JSON.stringify(message), { congested: 'skip' })
}

wss.on('connection', (webSocket) => {
  const connection = pulse.connectionOf(webSocket)
  if (connection === undefined) return

  present.add(connection)
  // Whatever ends the connection (a close frame, a reset, a dead peer, the drain), this runs, once. A listener on the
  // WebSocket's 'close' would do for a Set; track() also counts a cleanup that hangs as a leak, by its label.
  connection.track('presence', () => {
    present.delete(connection)
    tellEveryone({ type: 'present', count: present.size })
  })
  tellEveryone({ type: 'present', count: present.size })

  let hasClock = false
  webSocket.on('message', (data) => {
    const message = parse(String(data))
    if (message?.type === 'say') tellEveryone({ type: 'said', text: String(message.text).slice(0, 1_000) })
    else if (message?.type === 'clock') {
      if (!hasClock) streamClock(webSocket, connection)
      hasClock = true
    }
    // A bad message is the peer's fault: 1008 tells its author. Without a reconnect window, the page stays away.
    else webSocket.close(1008, 'unknown message')
  })
})

/**
 * A subscription that would leak: nothing in it notices that the peer has gone. The signal does.
 *
 * @param {import('ws').WebSocket} webSocket
 * @param {import('peerpulse').Connection} connection
 */
async function streamClock(webSocket, connection) {
  const { signal } = connection
  const everyMs = Number(process.env.CLOCK_MS ?? 1_000)
  try {
    for await (const _ of setInterval(everyMs, undefined, { signal })) {
      // Only the newest time is of use: a slow reader gets the next one.
      if (!connection.congested) webSocket.send(JSON.stringify({ type: 'clock', time: Date.now() }))
    }
  } catch (error) {
    if (!signal.aborted) throw error
    console.log(`clock of connection ${connection.id} stopped: ${signal.reason.closeReason}`)
  }
}

/**
 * @param {string} text
 * @returns {{ type?: unknown, text?: unknown } | undefined}
 */
function parse(text) {
  try {
    const message = JSON.parse(text)
    return typeof message === 'object' && message !== null ? message : undefined
  } catch {
    return undefined
  }
}
