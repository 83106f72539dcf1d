import assert from 'node:assert/strict'
import { type TestContext, test } from 'node:test'
import { WebSocketServer } from 'ws'
import { PeerConnection } from '../../lib/core/connection.js'
import { websocket } from '../../lib/transports/websocket.js'
import { clientFrame, opcodes } from '../support/frames.js'
import { startServer } from '../support/servers.js'
import { turn, until } from '../support/wait.js'
import { openPeers, socketOf, startWatched, webSocketsOpen } from './support.js'
import { tellTime } from './told-time.js'

const intervalMs = 25_000
const intervals = 3
const frameBytes = 6
const pong = clientFrame(opcodes.pong, 'ppls')

/** Every way out of a socket: what is written to it, and what its stream is told to do about it. */
const waysOut = ['write', 'cork', 'uncork', 'end', '_write', '_writev'] as const

test('a ping is one write to the socket, and there is no other', async (t) => {
  const time = tellTime(t)
  const { pulse, wss, port } = await startWatched(t, { heartbeat: { intervalMs, timeoutMs: 10_000 } })
  const peers = await openPeers(t, port, 10)
  await webSocketsOpen(wss, peers.length)
  const sockets = [...wss.clients].map(socketOf)
  const before = sockets.map(({ bytesWritten }) => bytesWritten)
  const counts = sockets.map((socket) => waysOut.map((way) => t.mock.method(socket, way as 'write').mock))
  let heard = 0
  for (const webSocket of wss.clients) webSocket.on('message', () => heard++)

  while (time.now < intervals * intervalMs + 2_000) {
    time.tick()
    await turn()
    const { pings, pongs } = pulse.snapshot().totals
    if (pings === pongs) continue
    const bytes = (pings / peers.length) * frameBytes
    await until(() => peers.every(({ received }) => received.length >= bytes), 'the pings')
    for (const peer of peers) peer.write(pong)
    await until(() => pulse.snapshot().totals.pongs >= pings, 'the pongs')
  }
  for (const peer of peers) peer.write(clientFrame(opcodes.text, 'hello'))
  await until(() => heard === peers.length, 'the messages')

  for (const [i, socket] of sockets.entries()) {
    const calls = Object.fromEntries(waysOut.map((way, j) => [way, counts[i]?.[j]?.callCount()]))
    assert.deepEqual(calls, { write: intervals, cork: 0, uncork: 0, end: 0, _write: intervals, _writev: 0 })
    assert.equal(socket.bytesWritten - (before[i] ?? 0), intervals * frameBytes)
  }
})

test('a chunk of a thousand messages costs as much as a chunk of one', async (t) => {
  tellTime(t)
  const { wss, port } = await startWatched(t)
  const [peer] = await openPeers(t, port, 1)
  await webSocketsOpen(wss, 1)
  let messages = 0
  let chunks = 0
  for (const webSocket of wss.clients) {
    webSocket.on('message', () => messages++)
    socketOf(webSocket).on('data', () => chunks++)
  }
  const calls = countCalls(t, PeerConnection.prototype, websocket)
  const frame = clientFrame(opcodes.text, 'x')
  peer?.write(Buffer.concat(Array.from({ length: 1_000 }, () => frame)))
  await until(() => messages === 1_000, 'the messages')
  assert.ok(chunks < 100, `${chunks} chunks prove nothing`)
  assert.deepEqual(calls(), { markSeen: chunks })
})

test('of a WebSocket `send`, `ping` and `pong` are taken over, and of its socket `destroy`, by one function for all', async (t) => {
  const methodsOf = (object: object) =>
    Reflect.ownKeys(object).filter(
      (key) => typeof (object as Record<PropertyKey, unknown>)[key] === 'function',
    )
  const bare = await startServer(t)
  const bareWss = new WebSocketServer({ server: bare.server })
  const { wss, port } = await startWatched(t)
  await openPeers(t, bare.port, 1)
  await openPeers(t, port, 2)
  await Promise.all([webSocketsOpen(bareWss, 1), webSocketsOpen(wss, 2)])
  const [untouched] = bareWss.clients
  const [watched, another] = wss.clients
  assert.ok(untouched && watched && another)
  assert.deepEqual(
    methodsOf(watched).filter((name) => !['send', 'ping', 'pong'].includes(String(name))),
    methodsOf(untouched),
  )
  for (const name of ['send', 'ping', 'pong'] as const) assert.equal(watched[name], another[name])
  assert.deepEqual(
    methodsOf(socketOf(watched)).filter((name) => name !== 'destroy'),
    methodsOf(socketOf(untouched)),
  )
  assert.equal(socketOf(watched).destroy, socketOf(another).destroy)
})

/** How often each method and getter of these is called from now on; those that are not called are left out. */
function countCalls(t: TestContext, ...objects: object[]): () => Record<string, number> {
  const counts: Record<string, number> = {}
  for (const object of objects) {
    for (const [name, { value, get }] of Object.entries(Object.getOwnPropertyDescriptors(object))) {
      if (name === 'constructor') continue
      function count(this: unknown, ...args: unknown[]): unknown {
        counts[name] = (counts[name] ?? 0) + 1
        return (value ?? get).apply(this, args)
      }
      if (typeof value === 'function') t.mock.method(object, name as never, count as never)
      else if (get !== undefined) t.mock.getter(object, name as never, count as never)
    }
  }
  return () => counts
}
