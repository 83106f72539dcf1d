/** Apps that patch, pipe, time out and pipeline in ways that Node allows: they must neither break nor be blamed. */
import assert from 'node:assert/strict'
import { once } from 'node:events'
import { get, request, type ServerResponse } from 'node:http'
import type { AddressInfo, Socket } from 'node:net'
import { Duplex, PassThrough, pipeline } from 'node:stream'
import { test } from 'node:test'
import { peerpulse } from 'peerpulse'
import { WebSocket, WebSocketServer } from 'ws'
import { isWebSocket, openSocket, openWebSocket, readAll, start } from '../policies/support.js'
import { clientFrame, opcodes, upgradeRequest } from '../support/frames.js'
import { until } from '../support/wait.js'

const quick = { signals: [], readinessDelayMs: 0, spreadMs: 0, closeTimeoutMs: 500, deadlineMs: 5_000 }
const MiB = 1024 * 1024

test('an event stream whose end was patched, as compression does, ends in a drain', async (t) => {
  const { pulse, port, closing } = await start(t, { drain: quick }, (_, res) => {
    const end = res.end.bind(res)
    res.end = ((chunk?: unknown) => {
      if (typeof chunk === 'function') throw new TypeError('the chunk must be a string or a Buffer')
      return end(chunk as never)
    }) as ServerResponse['end']
    res.writeHead(200, { 'Content-Type': 'text/event-stream' })
    res.write('data: 1\n\n')
  })
  const stream = await fetch(`http://127.0.0.1:${port}/`)
  const report = await pulse.drain()
  assert.match(await stream.text(), /\nretry: \d+\n$/)
  assert.deepEqual(report.connections.sse, { closed: 1, terminated: 0 })
  assert.equal((await closing()).closeReason, 'drain')
  assert.equal(pulse.snapshot().totals.callbackErrors, 0)
})

test('a WebSocket whose close throws is destroyed, and the throw is reported', async (t) => {
  const { pulse, wss, port, closing } = await start(t, { heartbeat: false })
  pulse.on('warning', () => {})
  const client = await openWebSocket(t, port)
  const [peer] = wss.clients
  if (peer !== undefined) peer.close = () => assert.fail('not today')
  const connection = pulse.connectionOf(peer as object)
  if (connection !== undefined) connection.idleTimeoutMs = 200
  await once(client, 'close')
  assert.equal((await closing()).closeReason, 'idle-timeout')
  assert.equal(pulse.snapshot().totals.callbackErrors, 1)
})

test('responses of pipelined requests count against the budget, and few are made for a peer that does not read', async (t) => {
  let runs = 0
  const { port, closing } = await start(t, { budget: { perConnectionBytes: 16 * MiB } }, (_, res) => {
    runs++
    res.end(Buffer.alloc(MiB))
  })
  const socket = await openSocket(t, port)
  socket.pause()
  socket.write('GET / HTTP/1.1\r\nHost: x\r\n\r\n'.repeat(60))
  const { closeReason, evidence } = await closing()
  assert.equal(closeReason, 'slow-consumer')
  assert.ok((evidence?.bufferedBytes ?? 0) > MiB)
  // What the kernels take is answered too.
  assert.ok(runs < 20, `${runs} of 60 run`)
})

test('an event stream with a request pipelined behind it is still one', async (t) => {
  const { port, closing } = await start(t, { idle: { sseMs: 500 } }, (req, res) => {
    if (req.url !== '/stream') return void res.end('second')
    res.writeHead(200, { 'Content-Type': 'text/event-stream' })
    res.write('data: 1\n\n')
  })
  const socket = await openSocket(t, port)
  socket.resume()
  socket.write('GET /stream HTTP/1.1\r\nHost: x\r\n\r\nGET /next HTTP/1.1\r\nHost: x\r\n\r\n')
  const { closeReason, protocol } = await closing()
  assert.deepEqual([protocol, closeReason], ['sse', 'idle-timeout'])
})

test('pipelined requests are answered in order, and the connection lives on', async (t) => {
  const { pulse, port } = await start(t, {}, (req, res) =>
    setTimeout(() => res.end(req.url), req.url === '/a' ? 50 : 0),
  )
  const socket = await openSocket(t, port)
  let text = ''
  socket.on('data', (chunk) => {
    text += chunk
  })
  socket.write(['/a', '/b', '/c'].map((path) => `GET ${path} HTTP/1.1\r\nHost: x\r\n\r\n`).join(''))
  await until(() => text.includes('/c'), 'three answers')
  assert.deepEqual(text.match(/\/[abc]$|\/[abc](?=HTTP)/g), ['/a', '/b', '/c'])
  const [connection] = pulse.connections()
  await until(() => connection?.phase === 'keep-alive', 'it is between requests')
})

test('a pooled connection lets go of what the app hung on its last response', async (t) => {
  const { pulse, port } = await start(t, {})
  const socket = await openSocket(t, port)
  socket.write('GET / HTTP/1.1\r\nHost: x\r\n\r\n')
  await once(socket, 'data')
  const [connection] = pulse.connections()
  await until(() => (connection as unknown as { response: unknown }).response === undefined, 'let go')
})

test("the app's own response timeout neither ends the connection nor names a reason", async (t) => {
  const { port, closed } = await start(t, {}, (_, res) => {
    res.setTimeout(50, () => res.end('late, but here'))
  })
  const socket = await openSocket(t, port)
  for (let i = 0; i < 2; i++) {
    const answer = once(socket, 'data')
    socket.write('GET / HTTP/1.1\r\nHost: x\r\n\r\n')
    assert.match(String((await answer)[0]), /Connection: keep-alive/)
  }
  assert.deepEqual(closed, [])
})

test("an upstream's reset is not the peer's", async (t) => {
  const { port, closing } = await start(t, {}, (_, res) => {
    const upstream = new PassThrough()
    res.writeHead(200, { 'Content-Length': 1_000 })
    pipeline(upstream, res, () => {})
    upstream.write('some of it')
    setImmediate(() => upstream.destroy(Object.assign(new Error('read ECONNRESET'), { code: 'ECONNRESET' })))
  })
  get({ host: '127.0.0.1', port }, (res) => res.on('error', () => {}).resume()).on('error', () => {})
  const { closeReason, evidence } = await closing()
  assert.equal(closeReason, 'server-error')
  assert.equal(evidence?.phase, 'request')
})

/** A connection that is no socket; what the server writes to it is kept. */
function memoryDuplex(): { duplex: Duplex; written: () => string } {
  let text = ''
  const duplex = new Duplex({
    read() {},
    write(chunk, _, done) {
      text += chunk
      done()
    },
  })
  return { duplex, written: () => text }
}

test('a Duplex that the app hands in as a connection is served and not watched', async (t) => {
  const { server, pulse } = await start(t, {})
  const { duplex, written } = memoryDuplex()
  server.emit('connection', duplex)
  duplex.push('GET / HTTP/1.1\r\nHost: x\r\n\r\n')
  await until(() => written().includes('hello'), 'an answer')
  assert.equal(pulse.snapshot().connections.open, 0)
})

test('a WebSocket that the app is closing is not half-open', async (t) => {
  const { pulse, wss, port, closing } = await start(t, { heartbeat: { intervalMs: 200, timeoutMs: 200 } })
  const client = await openWebSocket(t, port)
  const { _socket: socket } = client as unknown as { _socket: { pause(): void; resume(): void } }
  socket.pause()
  const [peer] = wss.clients
  peer?.close(1000)
  const connection = pulse.connectionOf(peer as object)
  await until(() => Date.now() - (connection?.openedAt ?? 0) > 1_500, 'many timeouts')
  socket.resume()
  assert.equal((await closing()).closeReason, 'server-closed')
  assert.equal(pulse.snapshot().totals.pings, 0)
})

test('an upgrade that takes long is idle later all the same, without a handshake deadline', async (t) => {
  const { server, port, closing } = await start(t, { limits: false, idle: { upgradedMs: 400 } })
  server.removeAllListeners('upgrade')
  server.on('upgrade', (_, socket) => {
    setTimeout(
      () => socket.write('HTTP/1.1 101 Switching Protocols\r\nUpgrade: echo\r\nConnection: Upgrade\r\n\r\n'),
      400,
    )
  })
  const socket = await openSocket(t, port)
  socket.write('GET / HTTP/1.1\r\nHost: x\r\nUpgrade: echo\r\nConnection: Upgrade\r\n\r\n')
  assert.match(await readAll(socket), /^HTTP\/1\.1 101 /)
  assert.equal((await closing()).closeReason, 'idle-timeout')
})

test('an event stream that begins on a retired connection ends at its age too', async (t) => {
  const { pulse, port, closing } = await start(t, { lifetime: { maxAgeMs: 300, jitter: 0 } }, (_, res) => {
    res.writeHead(200, { 'Content-Type': 'text/event-stream' })
    res.write('data: 1\n\n')
  })
  const socket = await openSocket(t, port)
  const [connection] = pulse.connections()
  await until(() => Date.now() - (connection?.openedAt ?? 0) > 800, 'it is old')
  socket.write('GET / HTTP/1.1\r\nHost: x\r\n\r\n')
  socket.resume()
  const { protocol, closeReason } = await closing()
  assert.deepEqual([protocol, closeReason], ['sse', 'lifetime'])
})

test('a response tells its connection when it is finished too', async (t) => {
  const found: (number | undefined)[] = []
  const running = await start(t, {}, (_, res) => {
    res.on('finish', () => found.push(running.pulse.connectionOf(res)?.id))
    res.end('hello')
  })
  await (await fetch(`http://127.0.0.1:${running.port}/`)).text()
  await until(() => found.length === 1, 'finished')
  assert.equal(typeof found[0], 'number')
})

test('who trusts a proxy still limits those who come past it', async (t) => {
  const { pulse, port } = await start(t, { limits: { maxPerPeer: 2, trustProxy: '10.0.0.0/8' } })
  const sockets = await Promise.all(Array.from({ length: 4 }, () => openSocket(t, port)))
  await until(() => pulse.snapshot().connections.open === 4, 'four')
  const [first] = sockets
  first?.write('GET / HTTP/1.1\r\nHost: x\r\n\r\n')
  assert.match(await readAll(first as never), /^HTTP\/1\.1 429 /)
})

test('a WebSocketServer alone, behind middleware: the probes know that somebody listens', async (t) => {
  const { pulse, server, port } = await start(t, {})
  await pulse.detach()
  const { peerpulse } = await import('peerpulse')
  const other = peerpulse({ drain: false })
  t.after(() => other.detach())
  other.on('warning', () => {})
  other.attach(new WebSocketServer({ noServer: true }))
  const middleware = other.middleware()
  server.removeAllListeners('request')
  server.on('request', (req, res) => middleware(req, res, () => res.end('app')))
  assert.equal((await fetch(`http://127.0.0.1:${port}/readyz`)).status, 200)
})

test('a refused upgrade ends as the HTTP request it was', async (t) => {
  const { pulse, port, closing } = await start(t, { limits: { maxConnections: 1 } })
  const held = await openSocket(t, port)
  await until(() => pulse.snapshot().connections.open === 1, 'one')
  const client = new WebSocket(`ws://127.0.0.1:${port}`)
  client.on('error', () => {})
  const { protocol, closeReason, evidence } = await closing((connection) => !isWebSocket(connection))
  assert.deepEqual([protocol, closeReason, evidence?.message], ['http1', 'limit', 'more than 1 connections'])
  held.destroy()
})

test('a body that is refused before it was read does not harm the next client', async (t) => {
  const { port } = await start(t, { limits: { maxPerPeer: 1 } })
  const held = await openSocket(t, port)
  const post = request({ host: '127.0.0.1', port, method: 'POST', agent: false })
  post.on('error', () => {})
  post.end(Buffer.alloc(4 * MiB))
  const [response] = (await once(post, 'response')) as [{ statusCode: number; resume(): void }]
  assert.equal(response.statusCode, 429)
  response.resume()
  held.destroy()
})

/** The bodies of two pipelined requests, the second of which is answered while the server drains. */
async function drainedBetween(
  t: Parameters<typeof start>[0],
  running: Awaited<ReturnType<typeof start>>,
  socket: Socket,
  [first, second]: [ServerResponse, ServerResponse],
): Promise<string> {
  const { pulse } = running
  const text = readAll(socket)
  first.end('first')
  await once(first, 'close')
  const drained = pulse.drain()
  let over = false
  void drained.then(() => {
    over = true
  })
  const [connection] = pulse.connections()
  const since = Date.now()
  await until(() => over || Date.now() - since > 1_000, 'time to cut it off')
  t.diagnostic(`its phase then: ${connection?.phase}`)
  second.end('second')
  return text
}

test('a request that was pipelined behind one from before attach is not cut off by a drain', async (t) => {
  const responses: ServerResponse[] = []
  const running = await start(t, {}, (_, res) => void responses.push(res))
  await running.pulse.detach()
  const socket = await openSocket(t, running.port)
  socket.write('GET / HTTP/1.1\r\nHost: x\r\n\r\n')
  await until(() => responses.length === 1, 'the first')
  const pulse = peerpulse({ drain: quick })
  t.after(() => pulse.detach())
  pulse.attach(running.server)
  socket.write('GET / HTTP/1.1\r\nHost: x\r\n\r\n')
  await until(() => responses.length === 2, 'the second')
  const both = responses as [ServerResponse, ServerResponse]
  assert.match(await drainedBetween(t, { ...running, pulse }, socket, both), /first[\s\S]*second/)
})

test('a request that was pipelined behind one that waits to be continued is not cut off by a drain', async (t) => {
  const responses = new Map<string | undefined, ServerResponse>()
  const running = await start(t, { drain: quick }, (req, res) => void responses.set(req.url, res))
  let goOn = () => {}
  running.server.on('checkContinue', (req, res) => {
    goOn = () => {
      res.writeContinue()
      running.server.emit('request', req, res)
    }
  })
  const socket = await openSocket(t, running.port)
  socket.write('POST /1 HTTP/1.1\r\nHost: x\r\nExpect: 100-continue\r\nContent-Length: 2\r\n\r\nhi')
  socket.write('GET /2 HTTP/1.1\r\nHost: x\r\n\r\n')
  await until(() => responses.has('/2'), 'the second')
  goOn()
  const both = [responses.get('/1'), responses.get('/2')] as [ServerResponse, ServerResponse]
  assert.match(await drainedBetween(t, running, socket, both), /first[\s\S]*second/)
})

test('a request that is continued late, between two others, is taken once: a drain cuts off none', async (t) => {
  const responses = new Map<string | undefined, ServerResponse>()
  const running = await start(t, { drain: quick }, (req, res) => void responses.set(req.url, res))
  let goOn: (() => void) | undefined
  running.server.on('checkContinue', (req, res) => {
    goOn = () => {
      res.writeContinue()
      running.server.emit('request', req, res)
    }
  })
  const socket = await openSocket(t, running.port)
  socket.write('GET /0 HTTP/1.1\r\nHost: x\r\n\r\n')
  socket.write('POST /1 HTTP/1.1\r\nHost: x\r\nExpect: 100-continue\r\nContent-Length: 2\r\n\r\nhi')
  socket.write('GET /2 HTTP/1.1\r\nHost: x\r\n\r\n')
  await until(() => responses.has('/2') && goOn !== undefined, 'the last')
  const text = readAll(socket)
  const drained = running.pulse.drain()
  goOn?.()
  for (const path of ['/0', '/1', '/2']) responses.get(path)?.end(`answer ${path}`)
  assert.match(await text, /answer \/0[\s\S]*answer \/1[\s\S]*answer \/2/)
  await drained
})

test("another pulse's last response is not the peer's wish", async (t) => {
  const { server, port, closing } = await start(t, {})
  const other = peerpulse({ drain: false, lifetime: { maxAgeMs: 100, jitter: 0 } })
  t.after(() => other.detach())
  other.attach(server)
  const socket = await openSocket(t, port)
  const [connection] = other.connections()
  await until(() => Date.now() - (connection?.openedAt ?? 0) > 300, 'it is old')
  socket.write('GET / HTTP/1.1\r\nHost: x\r\n\r\n')
  socket.resume()
  assert.equal((await closing()).closeReason, 'server-closed')
  assert.equal(connection?.closeReason, 'lifetime')
})

test("the client's address that a library read from the PROXY protocol is the peer's", async (t) => {
  const { server, pulse, port } = await start(t, {})
  const { emit } = server
  server.emit = function (this: typeof server, event: string, ...args: unknown[]) {
    if (event === 'connection') Object.defineProperty(args[0], 'remoteAddress', { get: () => '192.0.2.7' })
    return Reflect.apply(emit, this, [event, ...args])
  } as typeof emit
  await openSocket(t, port)
  await until(() => pulse.snapshot().connections.open === 1, 'one')
  assert.deepEqual(
    [...pulse.connections()].map(({ remoteAddress }) => remoteAddress),
    ['192.0.2.7'],
  )
})

test('a WebSocket on a Duplex is served and not watched, and detach stands it', async (t) => {
  const { pulse, wss } = await start(t, {})
  const { duplex, written } = memoryDuplex()
  const headers = {
    upgrade: 'websocket',
    'sec-websocket-version': '13',
    'sec-websocket-key': 'dGhlIHNhbXBsZSBub25jZQ==',
  }
  const req = { method: 'GET', url: '/', headers } as never
  wss.handleUpgrade(req, duplex, Buffer.alloc(0), (webSocket) => wss.emit('connection', webSocket, req))
  assert.match(written(), /^HTTP\/1\.1 101 /)
  assert.equal(pulse.snapshot().connections.open, 0)
  await pulse.detach()
  assert.equal(pulse.snapshot().totals.callbackErrors, 0)
})

test('a WebSocket that the app opened itself and handed to its server is pinged as a client pings', async (t) => {
  const { pulse, wss } = await start(t, { heartbeat: { intervalMs: 200, timeoutMs: 5_000 } })
  const far = new WebSocketServer({ port: 0 })
  t.after(() => void far.close())
  const errors: Error[] = []
  far.on('connection', (webSocket) => webSocket.on('error', (error) => errors.push(error)))
  const client = new WebSocket(`ws://127.0.0.1:${(far.address() as AddressInfo).port}`)
  t.after(() => client.terminate())
  await once(client, 'open')
  wss.emit('connection', client)
  await until(() => pulse.snapshot().totals.pongs > 0 || errors.length > 0, 'a pong or an error')
  assert.deepEqual(errors, [])
})

test('a visit that throws once is not the last', async (t) => {
  const { pulse, wss, port } = await start(t, { heartbeat: { intervalMs: 200, timeoutMs: 5_000 } })
  await openWebSocket(t, port)
  const [webSocket] = wss.clients
  const { _socket: socket } = webSocket as unknown as { _socket: Socket }
  let writes = 0
  const write = socket.write.bind(socket)
  socket.write = ((chunk: Buffer) => {
    if (writes++ === 0) throw new Error('patched')
    return write(chunk)
  }) as Socket['write']
  await until(() => pulse.snapshot().totals.pongs > 0, 'a pong')
  assert.equal(pulse.snapshot().totals.callbackErrors, 1)
})

test('a peer that `ws` drops for its flood of pings was not closed by the app', async (t) => {
  const { port, closing, closed } = await start(t, {})
  const socket = await openSocket(t, port)
  socket.write(upgradeRequest())
  await once(socket, 'data')
  const ping = clientFrame(opcodes.ping)
  socket.write(Buffer.concat(Array.from({ length: 200 }, () => ping)))
  socket.resume()
  const { closeReason, evidence } = await closing()
  assert.deepEqual(
    [closeReason, evidence?.message, closed.length],
    ['protocol-error', 'more pings than ws answers at once', 1],
  )
})
