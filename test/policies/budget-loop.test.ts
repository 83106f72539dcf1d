import assert from 'node:assert/strict'
import { once } from 'node:events'
import type { ServerResponse } from 'node:http'
import { Duplex } from 'node:stream'
import { test } from 'node:test'
import { type Peerpulse, type PeerpulseOptions, peerpulse } from 'peerpulse'
import { createWebSocketStream, WebSocket, WebSocketServer } from 'ws'
import { deafen } from '../scenarios/support.js'
import { startServer } from '../support/servers.js'
import { turn, until } from '../support/wait.js'
import { isWebSocket, openSocket, openWebSocket, start } from './support.js'

const KiB = 1024
const MiB = 1024 * KiB

const quiet: PeerpulseOptions = { heartbeat: false, pressure: false }

function listen(client: WebSocket): { seen: number[]; closed: Promise<number> } {
  const seen: number[] = []
  client.on('message', (data) => seen.push((data as Buffer).readUInt32BE(0)))
  return { seen, closed: once(client, 'close').then(([code]) => code as number) }
}

function resume(client: WebSocket): void {
  ;(client as unknown as { _socket: { resume(): void } })._socket.resume()
}

/** Sends numbered messages, in one go. */
function sendMany(webSocket: WebSocket, count: number, bytes: number, from = 0): void {
  for (let i = from; i < from + count; i++) {
    const message = Buffer.allocUnsafe(bytes)
    message.writeUInt32BE(i)
    webSocket.send(message)
  }
}

const firstOf = (wss: WebSocketServer) => [...wss.clients].at(-1) as WebSocket

for (const perMessageDeflate of [false, true]) {
  const how = perMessageDeflate ? 'with permessage-deflate' : 'without compression'
  test(`a loop that never ends a turn is bounded by the cap, ${how}; what arrives has no gap`, async (t) => {
    const cap = 2 * MiB
    const pulse = peerpulse({ drain: false, ...quiet, budget: { perConnectionBytes: cap } })
    t.after(() => pulse.detach())
    const { server, port } = await startServer(t)
    const wss = new WebSocketServer({ server, perMessageDeflate })
    pulse.attach(server, wss)
    const client = await openWebSocket(t, port)
    const { seen, closed } = listen(client)
    deafen(client)
    await until(() => wss.clients.size === 1, 'the WebSocket')
    const peer = firstOf(wss)
    const bytes = 64 * KiB
    let sent = 0
    let most = 0
    for (; peer.readyState === WebSocket.OPEN && sent < 1_000; sent++) {
      sendMany(peer, 1, bytes, sent)
      if (peer.readyState === WebSocket.OPEN) most = Math.max(most, peer.bufferedAmount)
    }
    assert.ok(most > cap && most <= cap + bytes + 100, `${most}`)
    const [connection] = pulse.connections()
    assert.equal(connection?.closeReason, 'slow-consumer')
    sendMany(peer, 10, bytes, sent)
    resume(client)
    assert.equal(await closed, 1013)
    // The last of the loop found the cap reached, and was dropped as all that came after.
    assert.deepEqual(
      seen,
      Array.from({ length: sent - 1 }, (_, i) => i),
    )
  })
}

test('fifty stopped readers in one loop hold twice the total, and the one that is not written to lives', async (t) => {
  const totalBytes = 8 * MiB
  const { pulse, wss, port, closed } = await start(t, {
    ...quiet,
    budget: { perConnectionBytes: 4 * MiB, totalBytes },
  })
  const good = await openWebSocket(t, port)
  const stopped = await Promise.all(Array.from({ length: 50 }, () => openWebSocket(t, port)))
  for (const client of stopped) deafen(client)
  const [goodPeer, ...peers] = [...wss.clients]
  const bytes = 32 * KiB
  let held = 0
  for (let i = 0; i < 1_000; i++) {
    for (const peer of peers) if (peer.readyState === WebSocket.OPEN) sendMany(peer, 1, bytes, i)
    held = Math.max(held, sum(peers))
  }
  const perPeer = bytes + totalBytes / 51 / 4
  t.diagnostic(`${(held / MiB).toFixed(1)} MiB held at most`)
  assert.ok(held <= 2 * totalBytes + 50 * perPeer, `${held}`)
  assert.equal(goodPeer?.readyState, WebSocket.OPEN)
  await until(() => closed.length === 50, 'the end of those that stopped')
  assert.deepEqual(new Set(closed.map(({ closeReason }) => closeReason)), new Set(['slow-consumer']))
  assert.equal(pulse.snapshot().connections.open, 1)
  goodPeer?.send('hello')
  await once(good, 'message')
})

const sum = (peers: WebSocket[]) =>
  peers.reduce(
    (bytes, peer) =>
      bytes + (peer as unknown as { _socket: { writableLength: number } })._socket.writableLength,
    0,
  )

test('a reader that keeps up is not touched, however long the producer goes on', async (t) => {
  const { pulse, wss, port, closed } = await start(t, {
    ...quiet,
    budget: { perConnectionBytes: 2 * MiB, totalBytes: 2 * MiB },
  })
  let congested = 0
  pulse.on('connection:congested', () => congested++)
  const client = await openWebSocket(t, port)
  const { seen } = listen(client)
  for (let i = 0; i < 50; i++) {
    sendMany(firstOf(wss), 1_000, 512, i * 1_000)
    await until(() => seen.length === (i + 1) * 1_000, 'the messages')
  }
  assert.equal(congested, 0)
  assert.deepEqual(closed, [])
})

test('what is above high water drains on: control frames and the close frame get through', async (t) => {
  const { pulse, wss, port } = await start(t, { ...quiet, budget: { stalledMs: 60_000 } })
  const client = await openWebSocket(t, port)
  const { seen, closed } = listen(client)
  let pings = 0
  client.on('ping', () => pings++)
  deafen(client)
  const peer = firstOf(wss)
  let told = 0
  pulse.on('connection:congested', () => told++)
  let sent = 0
  while (peer.bufferedAmount <= 2 * MiB) sendMany(peer, 1, 64 * KiB, sent++)
  assert.equal(told, 1, 'in the loop, without a tick')
  peer.ping()
  sendMany(peer, 1, 64 * KiB, sent++)
  const pong = once(peer, 'pong')
  assert.ok(peer.bufferedAmount > MiB)
  resume(client)
  await pong
  assert.equal(pings, 1)
  await until(() => seen.length === sent, 'all messages')
  deafen(client)
  while (peer.bufferedAmount <= 2 * MiB) sendMany(peer, 1, 64 * KiB, sent++)
  peer.close(1000, 'done')
  resume(client)
  assert.equal(await closed, 1000)
  assert.equal(seen.length, sent)
})

test('a response that is written in one loop is cut at the cap, an event stream too', async (t) => {
  const cap = 2 * MiB
  for (const type of ['text/plain', 'text/event-stream']) {
    let most = 0
    // Node 26 gathers in the response what is written in one turn: the socket, and so we, see it when the loop has ended.
    let isGathered = false
    const { port, closing } = await start(
      t,
      { ...quiet, budget: { perConnectionBytes: cap } },
      (_, res: ServerResponse) => {
        res.on('error', () => {})
        res.writeHead(200, { 'Content-Type': type })
        for (let i = 0; i < 1_000; i++) {
          const { socket } = res
          if (!res.write(Buffer.alloc(64 * KiB)) && socket?.destroyed === false)
            most = Math.max(most, socket.writableLength)
          isGathered ||= res.writableLength > 0 && socket?.writableLength === 0
        }
      },
    )
    const socket = await openSocket(t, port)
    socket.pause()
    socket.write('GET / HTTP/1.1\r\nHost: x\r\n\r\n')
    assert.equal((await closing()).closeReason, 'slow-consumer')
    if (isGathered) t.diagnostic(`${process.version} gathers ${type} in the response; the tick evicted`)
    else assert.ok(most > cap && most < cap + 70 * KiB, `${type}: ${most}`)
  }
})

test('one piece larger than the cap is not cut by the bytes that Node writes around it', async (t) => {
  const size = 32 * MiB
  const found: { destroyed: boolean; buffered: number }[] = []
  const { port } = await start(t, { ...quiet, budget: { perConnectionBytes: 2 * MiB } }, (req, res) => {
    const { socket } = req
    if (req.url === '/chunked') res.write(Buffer.alloc(size))
    res.end(req.url === '/chunked' ? undefined : Buffer.alloc(size))
    found.push({ destroyed: socket.destroyed, buffered: socket.writableLength })
  })
  for (const path of ['/', '/chunked']) {
    const socket = await openSocket(t, port)
    socket.pause()
    socket.write(`GET ${path} HTTP/1.1\r\nHost: x\r\n\r\n`)
  }
  await until(() => found.length === 2, 'both responses')
  for (const { destroyed, buffered } of found) assert.ok(!destroyed && buffered >= size, `${buffered}`)
})

test('a dry run sends all of it and ends nobody', async (t) => {
  const { pulse, wss, port, closed } = await start(t, {
    ...quiet,
    dryRun: true,
    budget: { perConnectionBytes: 2 * MiB, totalBytes: 2 * MiB },
  })
  const client = await openWebSocket(t, port)
  const { seen } = listen(client)
  sendMany(firstOf(wss), 300, 64 * KiB)
  await until(() => seen.length === 300, 'all messages')
  assert.deepEqual(closed, [])
  assert.equal(pulse.snapshot().totals.dryRun['slow-consumer'], 1)
})

test("an app's own send stays, below ours and after us", async (t) => {
  const { server, port } = await startServer(t)
  const wss = new WebSocketServer({ server })
  await openWebSocket(t, port)
  const peer = firstOf(wss)
  let calls = 0
  const own = function (this: WebSocket, ...args: unknown[]) {
    calls++
    return Reflect.apply(WebSocket.prototype.send, this, args)
  }
  Object.defineProperty(peer, 'send', { value: own, configurable: true, writable: true, enumerable: true })
  const pulse = peerpulse({ drain: false, ...quiet })
  pulse.attach(server, wss)
  assert.notEqual(peer.send, own)
  peer.send('a')
  assert.equal(calls, 1)
  // The app takes it over once more, above ours.
  const ours = peer.send
  peer.send = function (this: WebSocket, ...args: unknown[]) {
    calls += 10
    return Reflect.apply(ours, this, args)
  } as WebSocket['send']
  const above = peer.send
  peer.send('b')
  assert.equal(calls, 12)
  await pulse.detach()
  assert.equal(peer.send, above)
  peer.send('c')
  assert.equal(calls, 23)
})

for (const order of ['first', 'last']) {
  test(`two pulses both see the loop, and leave nothing when the ${order} to come goes first`, async (t) => {
    const open = async (): Promise<{ pulses: Peerpulse[]; peer: WebSocket; client: WebSocket }> => {
      const { server, port } = await startServer(t)
      const wss = new WebSocketServer({ server })
      const pulses = [4, 2].map((cap) =>
        peerpulse({ drain: false, ...quiet, budget: { perConnectionBytes: cap * MiB } }),
      )
      for (const pulse of pulses) {
        pulse.attach(server, wss)
        t.after(() => pulse.detach())
      }
      const client = await openWebSocket(t, port)
      deafen(client)
      return { pulses, peer: firstOf(wss), client }
    }
    const { pulses, peer } = await open()
    assert.ok(Object.hasOwn(peer, 'send'))
    sendMany(peer, 500, 64 * KiB)
    const reasons = pulses.flatMap((pulse) => [...pulse.connections()].map((c) => c.closeReason))
    assert.ok(reasons.includes('slow-consumer'), String(reasons))

    const second = await open()
    const [one, other] = order === 'first' ? second.pulses : second.pulses.reverse()
    await one?.detach()
    sendMany(second.peer, 500, 64 * KiB)
    assert.equal([...(other?.connections() ?? [])][0]?.closeReason, 'slow-consumer')
    await other?.detach()
    assert.equal(Object.hasOwn(second.peer, 'send'), false)
  })
}

test('sockets of requests get their write back, and a WebSocket on one that had requests is not cut there', async (t) => {
  const { pulse, server, wss, port, closed } = await start(t, {
    ...quiet,
    budget: { perConnectionBytes: 2 * MiB },
  })
  const sockets: object[] = []
  server.on('connection', (socket) => sockets.push(socket))
  const socket = await openSocket(t, port)
  socket.write('GET / HTTP/1.1\r\nHost: x\r\n\r\n')
  await once(socket, 'data')
  assert.ok(Object.hasOwn(sockets[0] as object, 'write'))
  socket.write(
    'GET / HTTP/1.1\r\nHost: x\r\nUpgrade: websocket\r\nConnection: Upgrade\r\nSec-WebSocket-Version: 13\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n\r\n',
  )
  await until(() => wss.clients.size === 1, 'the WebSocket')
  const peer = firstOf(wss)
  socket.pause()
  // One frame over the cap: its header and its data are two writes to the socket.
  peer.send(Buffer.alloc(64 * KiB))
  await turn()
  while (peer.bufferedAmount === 0) peer.send(Buffer.alloc(MiB))
  peer.send(Buffer.alloc(8 * MiB))
  assert.deepEqual(closed, [])
  assert.equal(peer.readyState, WebSocket.OPEN)
  await pulse.detach()
  assert.equal(Object.hasOwn(sockets[0] as object, 'write'), false)
  assert.equal(Object.hasOwn(peer, 'send'), false)
})

test('createWebSocketStream waits for its drain as before', async (t) => {
  const { wss, port, closed } = await start(t, { ...quiet, budget: { perConnectionBytes: 2 * MiB } })
  const client = await openWebSocket(t, port)
  let bytes = 0
  client.on('message', (data) => {
    bytes += (data as Buffer).length
  })
  const stream = createWebSocketStream(firstOf(wss))
  assert.ok(stream instanceof Duplex)
  for (let i = 0; i < 400; i++) if (!stream.write(Buffer.alloc(64 * KiB))) await once(stream, 'drain')
  await until(() => bytes === 400 * 64 * KiB, 'all bytes')
  assert.deepEqual(closed.filter(isWebSocket), [])
})

test('a broadcast in a loop sees congestion as it comes, and closes as slow-consumer', async (t) => {
  const { pulse, wss, port, closing } = await start(t, quiet)
  const client = await openWebSocket(t, port)
  deafen(client)
  const message = Buffer.alloc(64 * KiB)
  let sent = 0
  while (pulse.broadcast(wss, message).sent === 1) sent++
  const buffered = firstOf(wss).bufferedAmount
  assert.ok(buffered > MiB && buffered < MiB + 2 * message.length, `${buffered} after ${sent}`)
  for (let i = 0; i < 10; i++)
    assert.deepEqual(pulse.broadcast(wss, message), { sent: 0, skipped: 1, closed: 0 })
  assert.equal(pulse.snapshot().totals.skipped, 11)
  assert.equal(firstOf(wss).bufferedAmount, buffered)
  const close = { congested: 'close' } as const
  assert.deepEqual(pulse.broadcast(wss, message, close), { sent: 0, skipped: 0, closed: 1 })
  assert.deepEqual(pulse.broadcast(wss, message, close), { sent: 0, skipped: 0, closed: 0 })
  assert.equal((await closing(isWebSocket)).closeReason, 'slow-consumer')
})
