import assert from 'node:assert/strict'
import { test } from 'node:test'
import { WebSocketServer } from 'ws'
import { peerpulse } from '../../lib/index.js'
import { tellTime } from '../guards/told-time.js'
import { upgradeRaw } from '../support/raw-peer.js'
import { startServer } from '../support/servers.js'
import { until } from '../support/wait.js'
import { Closes } from '../support/watched.js'

const intervalMs = 1_000
const timeoutMs = 1_000
/** The policy's own: so many timeouts a pong is waited for. */
const mostTimeouts = 10
const message = Buffer.alloc(1024 * 1024)

test('a pong behind bytes that drain is waited for, but not for ever', async (t) => {
  const time = tellTime(t)
  const pulse = peerpulse({
    drain: false,
    budget: false,
    pressure: false,
    heartbeat: { intervalMs, timeoutMs },
  })
  t.after(() => pulse.detach())
  const closes = new Closes(pulse)
  const { server, port } = await startServer(t)
  const wss = new WebSocketServer({ server })
  pulse.attach(server, wss)
  const peer = await upgradeRaw(t, port)
  await until(() => wss.clients.size === 1, 'the WebSocket')
  const [webSocket] = wss.clients
  const [connection] = pulse.connections()
  assert.ok(webSocket && connection)
  // More than it takes in all this time. It never answers a ping.
  for (let i = 0; i < 200; i++) webSocket.send(message)
  let read = 0
  let sip = 0
  peer.stream.removeAllListeners('data').on('data', (chunk: Buffer) => {
    read += chunk.length
    if (read >= sip) peer.stream.pause()
  })
  const end = 2 * mostTimeouts * timeoutMs
  while (time.now < end && closes.all.length === 0) {
    // Enough that the kernel takes more several times in a timeout.
    sip = read + message.length / 2
    peer.stream.resume()
    await until(() => read >= sip, 'a sip')
    time.tick()
    if (connection.state === 'closing') await closes.wait(peer.port)
    if (connection.state === 'open') assert.ok(connection.bufferedBytes > 0, 'it still drains')
  }
  const { closeReason, evidence } = connection
  assert.equal(closeReason, 'half-open')
  const silentMs = evidence?.silentMs ?? 0
  t.diagnostic(`silent for ${silentMs} ms`)
  assert.ok(silentMs >= mostTimeouts * timeoutMs, `${silentMs} ms: not given the time`)
  assert.ok(silentMs <= intervalMs + (mostTimeouts + 1) * timeoutMs, `${silentMs} ms: given too much`)
})
