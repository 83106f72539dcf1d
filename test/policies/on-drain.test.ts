/** What a drain does with what waits: long polls, polls of Socket.IO, streams that want to finish. */
import assert from 'node:assert/strict'
import { AsyncLocalStorage } from 'node:async_hooks'
import { once } from 'node:events'
import { createServer, type ServerResponse } from 'node:http'
import type { AddressInfo } from 'node:net'
import { type TestContext, test } from 'node:test'
import express from 'express'
// @ts-expect-error an alias of Express 4, without types
import express4 from 'express4'
import { type OnDrain, peerpulse } from 'peerpulse'
import { Server as SocketIo } from 'socket.io'
import { io as connectSocketIo } from 'socket.io-client'
import { request } from '../support/frames.js'
import { connectRaw, type RawPeer, readResponse } from '../support/raw-peer.js'
import { startServer } from '../support/servers.js'
import { pause, turn, until } from '../support/wait.js'
import { Closes } from '../support/watched.js'
import { openWebSocket, start } from './support.js'

const drain = { signals: [], readinessDelayMs: 0, spreadMs: 0, closeTimeoutMs: 300, deadlineMs: 15_000 }

interface Waiting {
  readonly peer: RawPeer
  readonly response: ServerResponse
  readonly closes: Closes
  readonly pulse: ReturnType<typeof peerpulse>
  closedResponses: number
}

/** A request in flight, whose handler has said what a drain is to do with it. */
async function waitOn(
  t: TestContext,
  onDrain: OnDrain | undefined,
  begin: (res: ServerResponse) => void = () => {},
  secure = false,
): Promise<Waiting> {
  const pulse = peerpulse({ drain })
  t.after(() => pulse.detach())
  const seen: { response?: ServerResponse; closedResponses: number } = { closedResponses: 0 }
  const { port } = await startServer(
    t,
    (req, res) => {
      const connection = pulse.connectionOf(req)
      if (connection !== undefined && onDrain !== undefined) connection.onDrain = onDrain
      res.on('close', () => seen.closedResponses++)
      begin(res)
      seen.response = res
    },
    { secure, prepare: (server) => pulse.attach(server) },
  )
  const peer = await connectRaw(t, port, secure)
  peer.write(request('/wait'))
  const response = await until(() => seen.response, 'the request')
  return Object.assign(seen, { peer, response, pulse, closes: new Closes(pulse) })
}

for (const secure of [false, true]) {
  test(`${secure ? 'https' : 'http'}: a long poll that is marked is answered in order, and its app may answer it at any time later`, async (t) => {
    const waiting = await waitOn(
      t,
      'end',
      (res) => res.setHeader('Access-Control-Allow-Origin', 'https://example.org'),
      secure,
    )
    const { peer, response, pulse, closes } = waiting
    const draining = pulse.drain()
    const answer = await readResponse(peer)
    assert.match(answer, /^HTTP\/1\.1 503 /)
    assert.match(answer, /^Connection: close\r$/m)
    assert.match(answer, /^Retry-After: \d+\r$/m)
    assert.match(answer, /^Peerpulse-Reason: drain/m)
    assert.match(answer, /^access-control-allow-origin: https:\/\/example\.org\r$/im)
    await until(() => waiting.closedResponses === 1, "the app's 'close'")
    assert.equal(response.headersSent, false)
    response.setHeader('X-Late', '1')
    response.writeHead(200, { 'Content-Type': 'application/json' })
    response.write('{}')
    response.end('late')
    const report = await draining
    assert.equal(report.deadlineExceeded, false)
    assert.deepEqual(report.connections.http1, { closed: 1, terminated: 0 })
    const { closeReason, evidence } = await closes.wait(peer.port)
    assert.equal(closeReason, 'drain')
    assert.equal(evidence?.code, undefined)
    await turn()
    assert.equal(waiting.closedResponses, 1)
    assert.equal(pulse.snapshot().totals.callbackErrors, 0)
  })
}

test('the app sees of a poll that ends what it sees when the peer leaves', async (t) => {
  const storage = new AsyncLocalStorage<string>()
  const seen = new Map<ServerResponse, unknown[]>()
  const finishes: unknown[] = []
  const { pulse, port } = await start(t, { drain }, (req, res) => {
    const connection = pulse.connectionOf(req)
    if (connection !== undefined) connection.onDrain = 'end'
    const note = (what: string) =>
      seen.get(res)?.push([what, res.closed, res.destroyed, res.socket === req.socket, storage.getStore()])
    seen.set(res, [])
    const finish = () => {}
    res.on('finish', finish)
    res.on('close', () => {
      finishes.push(res.listeners('finish').includes(finish))
      note('close')
    })
    req.on('close', () => note('close of the request'))
  })
  const leaver = await connectRaw(t, port)
  leaver.write(request('/wait'))
  await until(() => seen.size === 1, 'the request')
  leaver.end()
  await leaver.gone()
  const peer = await connectRaw(t, port)
  peer.write(request('/wait'))
  await until(() => seen.size === 2, 'the request')
  await storage.run('of the drain', () => pulse.drain())
  const [left, ended] = seen.values()
  assert.deepEqual(ended, left)
  assert.deepEqual(left?.[0], ['close', true, true, true, undefined])
  assert.deepEqual(finishes, [true, true])
})

test('a chunk that comes with a late end is dropped, and the end answered', async (t) => {
  const errors: unknown[] = []
  const waiting = await waitOn(t, 'end', (res) => {
    res.write('begun')
    res.on('error', (error) => errors.push(error))
  })
  const draining = waiting.pulse.drain()
  await waiting.peer.expect('begun\r\n0\r\n\r\n')
  let callbacks = 0
  const { response } = waiting
  assert.equal(
    response.end('late', () => callbacks++),
    response,
  )
  response.end('later', 'utf8')
  await until(() => callbacks === 1, 'the callback')
  assert.equal((await draining).deadlineExceeded, false)
  response.end('after the close')
  await turn()
  assert.deepEqual(errors, [])
})

test('one that has begun gets its end, and late writes of its app are no error', async (t) => {
  const waiting = await waitOn(t, 'end', (res) => res.write('begun'))
  const draining = waiting.pulse.drain()
  await waiting.peer.expect('begun\r\n0\r\n\r\n')
  waiting.response.write('late')
  assert.equal((await draining).deadlineExceeded, false)
})

test('one that has promised a length is let finish', async (t) => {
  const waiting = await waitOn(t, 'end', (res) =>
    res.writeHead(200, { 'Content-Length': '10' }).write('begun'),
  )
  const draining = waiting.pulse.drain()
  await pause(500)
  assert.equal(waiting.peer.ended, false)
  waiting.response.end('ended')
  await waiting.peer.expect('begunended')
  assert.equal((await draining).deadlineExceeded, false)
})

test('the mark holds for its own request: the next one on the connection is answered by the app', async (t) => {
  const responses: ServerResponse[] = []
  const { pulse, port } = await start(t, { drain }, (req, res) => {
    const connection = pulse.connectionOf(req)
    if (req.url === '/poll' && connection !== undefined) connection.onDrain = 'end'
    responses.push(res)
  })
  const peer = await connectRaw(t, port)
  peer.write(request('/poll'))
  await until(() => responses.length === 1, 'the poll')
  responses[0]?.end('news')
  await peer.expect('news')
  peer.write(request('/order', {}, 'POST'))
  await until(() => responses.length === 2, 'the order')
  const draining = pulse.drain()
  await pause(500)
  responses[1]?.end('ordered')
  assert.match(await readResponse(peer), /^HTTP\/1\.1 200 OK[\s\S]*ordered$/)
  assert.equal((await draining).deadlineExceeded, false)
})

test('of pipelined requests a poll ends once those before it are answered', async (t) => {
  const responses: ServerResponse[] = []
  const { pulse, port } = await start(t, { drain }, (req, res) => {
    const connection = pulse.connectionOf(req)
    if (req.url === '/poll' && connection !== undefined) connection.onDrain = 'end'
    responses.push(res)
  })
  const peer = await connectRaw(t, port)
  peer.write(request('/order') + request('/poll'))
  await until(() => responses.length === 2, 'both')
  const draining = pulse.drain()
  await pause(300)
  responses[0]?.end('ordered')
  assert.match(await readResponse(peer), /ordered$/)
  assert.match(await readResponse(peer), /^HTTP\/1\.1 503/)
  assert.equal((await draining).deadlineExceeded, false)
})

for (const [name, make] of [
  ['Express 5', () => express()],
  ['Express 4', () => express4() as unknown as ReturnType<typeof express>],
] as const) {
  test(`${name}: res.json() after the end throws nothing`, async (t) => {
    const pulse = peerpulse({ drain })
    t.after(() => pulse.detach())
    const app = make()
    let answered = false
    app.get('/wait', (req, res) => {
      const connection = pulse.connectionOf(req)
      if (connection !== undefined) connection.onDrain = 'end'
      res.on('close', () =>
        setImmediate(() => {
          res.status(200).json({ late: true })
          answered = true
        }),
      )
    })
    const { port } = await startServer(t, app, { prepare: (server) => pulse.attach(server) })
    const peer = await connectRaw(t, port)
    peer.write(request('/wait'))
    await until(
      () => [...pulse.connections()].some(({ onDrain, phase }) => onDrain === 'end' && phase === 'request'),
      'the mark',
    )
    const draining = pulse.drain()
    assert.match(await readResponse(peer), /^HTTP\/1\.1 503/)
    await until(() => answered, 'the late answer')
    assert.equal((await draining).deadlineExceeded, false)
  })
}

test('an event stream that is let finish does, and one that does not is ended before the deadline', async (t) => {
  for (const finishes of [true, false]) {
    const streams: ServerResponse[] = []
    const { pulse, port } = await start(t, { drain: { ...drain, deadlineMs: 1_500 } }, (req, res) => {
      res.writeHead(200, { 'Content-Type': 'text/event-stream' })
      res.write('data: 1\n\n')
      const connection = pulse.connectionOf(req)
      assert.equal(connection?.onDrain, 'end')
      if (connection !== undefined) connection.onDrain = 'finish'
      streams.push(res)
    })
    const peer = await connectRaw(t, port)
    peer.write(request('/'))
    await peer.expect('data: 1')
    const draining = pulse.drain()
    await pause(600)
    assert.equal(peer.ended, false)
    if (finishes) streams[0]?.end('data: last\n\n')
    await peer.expect(finishes ? 'data: last' : 'retry: ')
    const report = await draining
    assert.equal(report.deadlineExceeded, false)
    assert.ok(finishes || report.durationMs >= 1_150, `${report.durationMs}`)
  }
})

test('a WebSocket that is let finish gets its close frame before the deadline', async (t) => {
  const { pulse, wss, port } = await start(t, { drain: { ...drain, deadlineMs: 1_500 } })
  wss.on('connection', (webSocket) => {
    const connection = pulse.connectionOf(webSocket)
    if (connection !== undefined) connection.onDrain = 'finish'
  })
  const client = await openWebSocket(t, port)
  const closed = once(client, 'close')
  const report = await pulse.drain()
  assert.equal(((await closed) as [number])[0], 1012)
  assert.equal(report.deadlineExceeded, false)
  assert.ok(report.durationMs >= 1_150, `${report.durationMs}`)
})

test('Socket.IO: those that poll learn of a drain as those on WebSockets do', async (t) => {
  const pulse = peerpulse({ drain: { ...drain, spreadMs: 200, closeTimeoutMs: 1_000 } })
  const server = createServer()
  const io = new SocketIo(server)
  io.on('connection', (socket) => socket.emit('hello'))
  pulse.attach(server)
  server.listen(0, '127.0.0.1')
  await once(server, 'listening')
  const { port } = server.address() as AddressInfo
  const ends: Record<string, string> = {}
  const clients = ['websocket', 'polling', 'polling'].map((transport, i) => {
    const client = connectSocketIo(`http://127.0.0.1:${port}`, {
      transports: [transport],
      reconnection: false,
      forceNew: true,
    })
    t.after(() => void client.disconnect())
    client.on('disconnect', (why) => {
      ends[`${transport} ${i}`] = why
    })
    return client
  })
  t.after(async () => {
    await pulse.detach()
    await io.close()
  })
  await Promise.all(
    clients.map((client) => new Promise<void>((resolve) => void client.on('hello', () => resolve()))),
  )
  await until(
    () =>
      [...pulse.connections()].filter(({ phase, onDrain }) => phase === 'request' && onDrain === 'end')
        .length === 2,
    'the polls',
  )
  const report = await pulse.drain()
  await until(() => Object.keys(ends).length === 3, 'all of the ends')
  assert.equal(report.deadlineExceeded, false)
  assert.deepEqual(report.cut, [])
  assert.deepEqual(new Set(Object.values(ends)), new Set(['transport close']))
})

test('anything else is refused', async (t) => {
  const { pulse } = await waitOn(t, undefined)
  const [connection] = pulse.connections()
  assert.ok(connection !== undefined)
  assert.equal(connection.onDrain, 'finish')
  assert.throws(
    () => {
      connection.onDrain = 'wait' as never
    },
    {
      code: 'PEERPULSE_ERR_INVALID_ARGUMENT',
      message: "connection.onDrain: must be 'end' or 'finish', not 'wait'",
    },
  )
})
