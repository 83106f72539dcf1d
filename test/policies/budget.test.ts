import assert from 'node:assert/strict'
import { once } from 'node:events'
import { test } from 'node:test'
import type { Connection } from 'peerpulse'
import { deafen } from '../scenarios/support.js'
import { until } from '../support/wait.js'
import { isWebSocket, openSocket, openWebSocket, start } from './support.js'

const MiB = 1024 * 1024

test('above high water a connection is congested, below low water it is not', async (t) => {
  const { pulse, wss, port, closed } = await start(t, { heartbeat: false, budget: { stalledMs: 20_000 } })
  const client = await openWebSocket(t, port)
  const congested = new Promise<Connection>((resolve) => void pulse.once('connection:congested', resolve))
  const drained = new Promise<Connection>((resolve) => void pulse.once('connection:drain', resolve))
  deafen(client)
  const [peer] = wss.clients
  // Enough for both kernels' buffers and the mark.
  for (let i = 0; i < 15; i++) peer?.send(Buffer.alloc(MiB))
  const connection = await congested
  assert.equal(connection.congested, true)
  assert.ok(connection.bufferedBytes > MiB)
  assert.equal(pulse.snapshot().connections.congested, 1)
  const { _socket: socket } = client as unknown as { _socket: { resume(): void } }
  socket.resume()
  assert.equal((await drained).id, connection.id)
  assert.equal(connection.congested, false)
  await until(() => pulse.snapshot().connections.bufferedBytes === 0, 'nothing is buffered')
  assert.deepEqual(closed, [])
})

test('over the total budget the heaviest go first, and only as many as need be', async (t) => {
  const { wss, port, closed, closing } = await start(t, {
    heartbeat: false,
    budget: { stalledMs: 60_000, perConnectionBytes: 30 * MiB, totalBytes: 40 * MiB },
  })
  const clients = await Promise.all(Array.from({ length: 3 }, () => openWebSocket(t, port)))
  for (const client of clients) deafen(client)
  const sizes = [12, 28, 8]
  const peers = [...wss.clients]
  // One message each: Node counts it as buffered to its last byte.
  sizes.forEach((size, i) => void peers[i]?.send(Buffer.alloc(size * MiB)))
  const first = await closing()
  assert.equal(first.closeReason, 'slow-consumer')
  await until(() => [...wss.clients].length === 2, 'the others are looked at')
  assert.equal(closed.length, 1)
  assert.ok((first.evidence?.bufferedBytes ?? 0) >= 28 * MiB)
})

test('those that are closing hold half the total at most: what is more, the heaviest give back at once', async (t) => {
  const { pulse, wss, port, closed } = await start(t, {
    heartbeat: false,
    budget: { stalledMs: 60_000, perConnectionBytes: 30 * MiB, totalBytes: 40 * MiB },
  })
  const clients = await Promise.all(Array.from({ length: 3 }, () => openWebSocket(t, port)))
  for (const client of clients) deafen(client)
  const peers = [...wss.clients]
  // Two must go, and 54 MiB beside the 24 of the third are more than 60.
  ;[28, 26, 24].forEach((size, i) => void peers[i]?.send(Buffer.alloc(size * MiB)))
  await until(() => closed.length > 0, 'one is gone')
  assert.deepEqual(Array.from(pulse.connections(), ({ state }) => state).sort(), ['closing', 'open'])
  assert.equal(closed[0]?.closeReason, 'slow-consumer')
  assert.ok((closed[0]?.evidence?.bufferedBytes ?? 0) >= 28 * MiB)
})

test('a response that is not read is cut at the hard cap', async (t) => {
  const { port, closing } = await start(t, { budget: { perConnectionBytes: 12 * MiB } }, (_, res) => {
    res.on('error', () => {})
    const pump = setInterval(() => {
      if (res.destroyed) clearInterval(pump)
      else res.write(Buffer.alloc(MiB))
    }, 5)
  })
  const socket = await openSocket(t, port)
  socket.pause()
  socket.write('GET / HTTP/1.1\r\nHost: x\r\n\r\n')
  assert.equal((await closing()).closeReason, 'slow-consumer')
})

test('broadcast skips the congested, or closes them, and says how many', async (t) => {
  const { pulse, wss, port, closing } = await start(t, { heartbeat: false, budget: { stalledMs: 20_000 } })
  const reader = await openWebSocket(t, port)
  const [fast] = wss.clients
  const stalled = await openWebSocket(t, port)
  deafen(stalled)
  const [, slow] = wss.clients
  for (let i = 0; i < 15; i++) slow?.send(Buffer.alloc(MiB))
  const message = once(reader, 'message')
  assert.deepEqual(pulse.broadcast(wss, 'hello'), { sent: 1, skipped: 1, closed: 0 })
  assert.equal(String((await message)[0]), 'hello')
  assert.equal(pulse.snapshot().totals.skipped, 1)
  assert.deepEqual(pulse.broadcast(wss, 'hello', { congested: 'send' }), { sent: 2, skipped: 0, closed: 0 })
  assert.deepEqual(pulse.broadcast(wss, 'hello', { congested: 'close' }), { sent: 1, skipped: 0, closed: 1 })
  assert.equal((await closing(isWebSocket)).closeReason, 'slow-consumer')
  assert.equal(fast?.readyState, 1)
  assert.throws(() => pulse.broadcast(wss, 'x', { congested: 'drop' as never }), {
    code: 'PEERPULSE_ERR_INVALID_ARGUMENT',
  })
})
