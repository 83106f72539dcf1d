import assert from 'node:assert/strict'
import { once } from 'node:events'
import { connect } from 'node:net'
import { test } from 'node:test'
import { until } from '../support/wait.js'
import { isWebSocket, openSocket, openWebSocket, start } from './support.js'

const heartbeat = { intervalMs: 100, timeoutMs: 5_000 }

test('pongs are not traffic: a WebSocket that only answers pings is idle', async (t) => {
  const { pulse, port, closing } = await start(t, { heartbeat, idle: { websocketMs: 1_000 } })
  const client = await openWebSocket(t, port)
  const [code, reason] = (await once(client, 'close')) as [number, Buffer]
  assert.equal(code, 1001)
  assert.match(String(reason), /^idle-timeout; reconnect=\d+\.\.\d+$/)
  assert.equal((await closing(isWebSocket)).closeReason, 'idle-timeout')
  assert.ok(pulse.snapshot().totals.pongs >= 3)
})

test("the app's own pings and the peer's are not traffic either", async (t) => {
  const { wss, port, closing } = await start(t, { heartbeat: false, idle: { websocketMs: 1_500 } })
  const client = await openWebSocket(t, port)
  const [peer] = wss.clients
  const pings = setInterval(() => {
    if (peer?.readyState === 1) peer.ping('are you there')
    if (client.readyState === 1) client.ping('and you')
  }, 70)
  t.after(() => clearInterval(pings))
  assert.equal((await closing(isWebSocket)).closeReason, 'idle-timeout')
})

test('traffic in either direction keeps it, and inboundMs counts what the peer sends alone', async (t) => {
  const { wss, port, closed, closing } = await start(t, {
    heartbeat,
    idle: { websocketMs: 1_000, inboundMs: 4_000 },
  })
  const leaker = await openWebSocket(t, port)
  const leakerPort = (leaker as unknown as { _socket: { localPort: number } })._socket.localPort
  const talker = await openWebSocket(t, port)
  const traffic = setInterval(() => {
    for (const peer of wss.clients) peer.send('tick')
    if (talker.readyState === 1) talker.send('hello')
  }, 100)
  t.after(() => clearInterval(traffic))
  const first = await closing(isWebSocket)
  assert.equal(first.remotePort, leakerPort)
  assert.equal(first.closeReason, 'idle-timeout')
  assert.ok((first.evidence?.ageMs ?? 0) >= 4_000, 'the pushes did not keep it until inboundMs')
  assert.equal(closed.length, 1)
})

test('idleTimeoutMs at run time, for one connection', async (t) => {
  const { pulse, wss, port, closing } = await start(t, { heartbeat })
  const client = await openWebSocket(t, port)
  const spared = await openWebSocket(t, port)
  const [peer] = wss.clients
  const connection = pulse.connectionOf(peer as object)
  assert.equal(connection?.idleTimeoutMs, false)
  assert.throws(
    () => {
      if (connection !== undefined) connection.idleTimeoutMs = 0
    },
    { code: 'PEERPULSE_ERR_INVALID_ARGUMENT' },
  )
  if (connection !== undefined) connection.idleTimeoutMs = 400
  await once(client, 'close')
  assert.equal((await closing()).id, connection?.id)
  assert.equal(spared.readyState, 1)
})

test('event streams and sockets of unknown protocols have their own', async (t) => {
  const { server, port, closing } = await start(t, { idle: { sseMs: 600, upgradedMs: 600 } }, (_, res) => {
    res.writeHead(200, { 'Content-Type': 'text/event-stream' })
    res.write('data: 1\n\n')
  })
  server.removeAllListeners('upgrade')
  server.on(
    'upgrade',
    (_, socket) =>
      void socket.write('HTTP/1.1 101 Switching Protocols\r\nUpgrade: echo\r\nConnection: Upgrade\r\n\r\n'),
  )
  const stream = await fetch(`http://127.0.0.1:${port}/`)
  assert.match(await stream.text(), /^data: 1\n\n\nretry: \d+\n$/)
  const sse = await closing(({ protocol }) => protocol === 'sse')
  assert.equal(sse.closeReason, 'idle-timeout')

  const socket = await openSocket(t, port)
  socket.write('GET / HTTP/1.1\r\nHost: x\r\nUpgrade: echo\r\nConnection: Upgrade\r\n\r\n')
  const upgraded = await closing(({ protocol }) => protocol === 'upgraded')
  assert.equal(upgraded.closeReason, 'idle-timeout')
})

test('an HTTP connection between requests is closed by Node, and we say why', async (t) => {
  const { server, port, closing } = await start(t, {})
  server.keepAliveTimeout = 100
  const socket = connect(port, '127.0.0.1')
  t.after(() => socket.destroy())
  socket.write('GET / HTTP/1.1\r\nHost: x\r\n\r\n')
  socket.resume()
  const { closeReason, phase } = await closing()
  assert.equal(closeReason, 'idle-timeout')
  assert.equal(phase, 'keep-alive')
})

test('lifetime: a WebSocket gets 1001, an HTTP connection Connection: close with its next response', async (t) => {
  const { port, closing } = await start(t, { lifetime: { maxAgeMs: 500, jitter: 0.2 } })
  const client = await openWebSocket(t, port)
  const socket = await openSocket(t, port)
  const request = 'GET / HTTP/1.1\r\nHost: x\r\n\r\n'
  let text = ''
  socket.on('data', (chunk) => {
    text += chunk
  })
  socket.write(request)
  const [code, reason] = (await once(client, 'close')) as [number, Buffer]
  assert.equal(code, 1001)
  assert.match(String(reason), /^lifetime; /)
  assert.match(text, /Connection: keep-alive/)
  const ask = setInterval(() => socket.writable && socket.write(request), 200)
  t.after(() => clearInterval(ask))
  const http = await closing(({ protocol }) => protocol === 'http1')
  assert.equal(http.closeReason, 'lifetime')
  await until(() => /Connection: close/.test(text), 'the goodbye')
})
