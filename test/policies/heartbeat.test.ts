import assert from 'node:assert/strict'
import { once } from 'node:events'
import type { Socket } from 'node:net'
import { test } from 'node:test'
import { deafen } from '../scenarios/support.js'
import { until } from '../support/wait.js'
import { isWebSocket, openWebSocket, start } from './support.js'

test('a silent peer is pinged, answers, and its round trip is known', async (t) => {
  const { pulse, port, closed } = await start(t, { heartbeat: { intervalMs: 200, timeoutMs: 5_000 } })
  const client = await openWebSocket(t, port)
  await once(client, 'ping')
  await once(client, 'ping')
  const [connection] = [...pulse.connections()].filter(isWebSocket)
  await until(() => connection?.rttMs !== undefined, 'a round trip')
  assert.ok((connection?.rttMs ?? -1) >= 0)
  assert.ok(
    Math.abs(Date.now() - (connection?.lastSeenAt ?? 0)) < 5_000,
    `last seen ${connection?.lastSeenAt} at ${Date.now()}`,
  )
  assert.deepEqual(closed.filter(isWebSocket), [])
})

test('a busy peer is never pinged', async (t) => {
  const { pulse, port } = await start(t, { heartbeat: { intervalMs: 2_000, timeoutMs: 5_000 } })
  const client = await openWebSocket(t, port)
  let pings = 0
  client.on('ping', () => pings++)
  const talk = setInterval(() => client.send('x'), 50)
  t.after(() => clearInterval(talk))
  const [connection] = [...pulse.connections()].filter(isWebSocket)
  const opened = connection?.openedAt ?? 0
  await until(() => Date.now() - opened > 6_500, 'three intervals')
  assert.equal(pings, 0)
  assert.equal(pulse.snapshot().totals.pings, 0)
})

test('a peer that does not answer is terminated as half-open', async (t) => {
  const { port, closing } = await start(t, { heartbeat: { intervalMs: 300, timeoutMs: 300 } })
  const client = await openWebSocket(t, port)
  deafen(client)
  const { closeReason, evidence } = await closing(isWebSocket)
  assert.equal(closeReason, 'half-open')
  assert.ok((evidence?.silentMs ?? 0) >= 600)
})

test('a pong behind a large message is waited for while the message drains', async (t) => {
  const { pulse, wss, port, closed } = await start(t, {
    heartbeat: { intervalMs: 300, timeoutMs: 600 },
    budget: { perConnectionBytes: 64 * 1024 * 1024, stalledMs: 10_000 },
  })
  const client = await openWebSocket(t, port)
  const { _socket: socket } = client as unknown as {
    _socket: Socket
  }
  deafen(client)
  const size = 16 * 1024 * 1024
  for (const peer of wss.clients) peer.send(Buffer.alloc(size))
  // Reads in sips: the answer to a ping behind the message takes many timeouts.
  const started = performance.now()
  const sip = setInterval(() => {
    socket.once('data', () => socket.pause())
    socket.resume()
  }, 10)
  t.after(() => clearInterval(sip))
  await until(() => closed.length > 0 || socket.bytesRead >= size, 'all read')
  t.diagnostic(`drained in ${Math.round(performance.now() - started)} ms`)
  assert.deepEqual(
    closed.map(({ closeReason }) => closeReason),
    [],
  )
  assert.ok(performance.now() - started > 1_500, 'it drained too fast to prove anything')
  clearInterval(sip)
  socket.resume()
  await until(() => pulse.snapshot().totals.pongs > 0, 'the pong')
})

test('a peer whose reads the app paused is not judged', async (t) => {
  const { pulse, wss, port, closed } = await start(t, { heartbeat: { intervalMs: 200, timeoutMs: 200 } })
  await openWebSocket(t, port)
  const [peer] = wss.clients
  peer?.pause()
  await until(() => pulse.snapshot().totals.pings >= 4, 'several pings')
  peer?.resume()
  const { pongs } = pulse.snapshot().totals
  await until(() => pulse.snapshot().totals.pongs >= pongs + 2, 'pongs again')
  assert.deepEqual(closed, [])
})

test('a reset is found while the app has paused reading, by the ping that is written', async (t) => {
  const { wss, port, closing } = await start(t, { heartbeat: { intervalMs: 200, timeoutMs: 200 } })
  const client = await openWebSocket(t, port)
  const [peer] = wss.clients
  peer?.pause()
  const { _socket: socket } = client as unknown as { _socket: { resetAndDestroy(): void } }
  socket.resetAndDestroy()
  const { closeReason } = await closing(isWebSocket)
  assert.equal(closeReason, 'peer-reset')
})
