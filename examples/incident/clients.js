// The clients of the incident, in a process of their own. Told over IPC what to play; tells what they live through.
import { get } from 'node:http'
import { connect } from 'node:net'
import { setTimeout as sleep } from 'node:timers/promises'
import { WebSocket } from 'ws'

const port = Number(process.env.PORT)
const url = `ws://127.0.0.1:${port}/`
/** A round trip as over a network: on loopback a pong would be there before the server looks away. */
const roundTripMs = 30
let goingDown = false

/** @param {import('./ledger.js').ClientMessage} message */
const tell = (message) => process.send?.(message)

/**
 * One WebSocket that tells when it opens and how it ends. `dead`: nobody is behind it from its first moment.
 *
 * @param {import('./ledger.js').Kind} kind
 * @param {boolean} [dead]
 */
function subscribe(kind, dead = false) {
  const ws = new WebSocket(url, { handshakeTimeout: 10_000, perMessageDeflate: false, autoPong: false })
  /** @type {import('node:net').Socket | undefined} */
  let socket
  /** @type {number | undefined} */
  let localPort
  ws.on('upgrade', (response) => {
    socket = response.socket
    localPort = socket.localPort
  })
  ws.on('open', () => tell({ event: 'open', kind, port: localPort, dead }))
  ws.on('ping', (data) => {
    setTimeout(() => ws.readyState === WebSocket.OPEN && ws.pong(data), roundTripMs)
  })
  ws.on('error', () => {})
  ws.on('close', (code) => {
    if (localPort !== undefined) tell({ event: 'close', kind, port: localPort, code })
  })
  return { ws, reset: () => socket?.resetAndDestroy(), port: () => localPort }
}

/** Reads, acknowledges twice a second, and comes back when it was cut off. */
function behave() {
  const { ws } = subscribe('healthy')
  const acknowledging = setInterval(() => {
    if (ws.readyState === WebSocket.OPEN) ws.send('acknowledged')
  }, 500)
  ws.on('close', () => {
    clearInterval(acknowledging)
    if (!goingDown) setTimeout(behave, 250 + Math.random() * 500)
  })
}

/** Reads and acknowledges like a healthy one, until its whole process is frozen. */
function vanishLater() {
  const { ws } = subscribe('vanished')
  const acknowledging = setInterval(() => {
    if (ws.readyState === WebSocket.OPEN) ws.send('acknowledged')
  }, 500)
  ws.on('close', () => clearInterval(acknowledging))
}

/** The page moved on and forgot its subscription: the library still reads and answers pings, and nobody looks. */
function abandon() {
  subscribe('abandoned', true)
}

/** Asks for all it missed, and then reads nothing. */
function stopReading() {
  const { ws, port: localPort } = subscribe('stopped reading')
  ws.on('open', () => {
    ws.send('history')
    ws.pause()
    tell({ event: 'dead', port: localPort() })
  })
}

/** Resets an open connection. */
async function resetWhenOpen() {
  const client = subscribe('reset')
  client.ws.on('open', async () => {
    await sleep(100 + Math.random() * 900)
    tell({ event: 'dead', port: client.port() })
    client.reset()
  })
}

/** Resets in the middle of the upgrade. */
function resetWhileUpgrading() {
  const socket = connect(port, '127.0.0.1')
  socket.on('error', () => {})
  socket.on('connect', async () => {
    tell({ event: 'open', kind: 'reset', port: socket.localPort, dead: true })
    socket.write(
      `GET / HTTP/1.1\r\nHost: 127.0.0.1\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n` +
        `Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n\r\n`,
    )
    await sleep(Math.random() * 10)
    socket.resetAndDestroy()
  })
}

/**
 * One request; tells its status, or that there was none.
 *
 * @param {string} path
 */
function request(path) {
  get({ port, host: '127.0.0.1', path, agent: false }, (response) => {
    response.resume()
    response.on('close', () => {
      tell({ event: 'response', path, status: response.complete ? response.statusCode : undefined })
    })
  }).on('error', () => tell({ event: 'response', path, status: undefined }))
}

/**
 * @param {number} count
 * @param {number} everyMs
 * @param {(index: number) => void} start
 */
async function each(count, everyMs, start) {
  for (let i = 0; i < count; i++) {
    start(i)
    await sleep(everyMs)
  }
}

process.on('message', (/** @type {import('./ledger.js').Order} */ order) => {
  switch (order.play) {
    case 'healthy':
      return void each(order.count, 20, behave)
    case 'vanished':
      return void each(order.count, 20, vanishLater)
    case 'abandoned':
      return void each(order.count, order.everyMs, abandon)
    case 'stopped reading':
      return void each(order.count, order.everyMs, stopReading)
    case 'reset':
      return void each(order.count, 20, (i) => (i % 2 === 0 ? resetWhenOpen() : resetWhileUpgrading()))
    case 'request':
      return request(order.path)
    case 'going down':
      goingDown = true
  }
})
process.on('disconnect', () => process.exit())
process.send?.({ event: 'ready' })
