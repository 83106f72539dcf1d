import assert from 'node:assert/strict'
import { createHash } from 'node:crypto'
import { EventEmitter } from 'node:events'
import type { IncomingMessage, RequestListener, Server, ServerResponse } from 'node:http'
import type { AddressInfo, Socket } from 'node:net'
import { type TestContext, test } from 'node:test'
import nodeAdapter from 'crossws/adapters/node'
import { Server as EngineServer } from 'engine.io'
import express from 'express'
// @ts-expect-error an alias of Express 4, without types
import express4 from 'express4'
import { buildSchema } from 'graphql'
import { useServer } from 'graphql-ws/use/ws'
import { type Connection, type Peerpulse, type PeerpulseOptions, peerpulse, type Warning } from 'peerpulse'
import { Server as SocketServer } from 'socket.io'
import { WebSocketServer } from 'ws'
import { clientFrame, opcodes, request, upgradeRequest } from '../support/frames.js'
import {
  connectRaw,
  connectTcp,
  type RawPeer,
  readResponse,
  requestRaw,
  upgradeRaw,
} from '../support/raw-peer.js'
import { type ServerOptions, startServer, type TestServer } from '../support/servers.js'
import { heard, turn, until } from '../support/wait.js'
import { Closes, marksOn } from '../support/watched.js'
import { ask, openWebSocket, type WebSocketPeer } from '../support/web-socket.js'

function createPulse(t: TestContext, options: PeerpulseOptions = {}): Peerpulse {
  const pulse = peerpulse({ drain: false, pressure: false, ...options })
  t.after(() => pulse.detach())
  return pulse
}

const ok: RequestListener = (_req, res) => void res.end('ok')

/** An app with every sort of connection: responses that hang or stream, WebSockets, an upgrade that waits. */
interface App extends TestServer {
  readonly wss: WebSocketServer
  /** Lets everything that hangs go on. */
  readonly release: () => void
}

async function startApp(t: TestContext, options: ServerOptions = {}): Promise<App> {
  const gate = new EventEmitter().setMaxListeners(0)
  const wss = new WebSocketServer({ noServer: true })
  wss.on('connection', (webSocket) => {
    webSocket.on('message', (data) => webSocket.send(String(data)))
  })
  function handle(req: IncomingMessage, res: ServerResponse): void {
    if (req.url === '/hang') gate.once('open', () => res.end('at last'))
    else if (req.url === '/events') {
      res.writeHead(200, { 'Content-Type': 'text/event-stream' }).write('data: first\n\n')
      gate.once('open', () => res.write('data: second\n\n'))
    } else res.end('ok')
  }
  const started = await startServer(t, handle, {
    ...options,
    prepare(server) {
      server.on('upgrade', async (req, socket, head) => {
        if (req.url === '/wait') await heard(gate, 'open')
        wss.handleUpgrade(req, socket, head, (webSocket) => wss.emit('connection', webSocket, req))
      })
      options.prepare?.(server)
    },
  })
  return { ...started, wss, release: () => gate.emit('open') }
}

/** One connection of every sort. */
interface Peers {
  fresh: RawPeer
  pooled: RawPeer
  hanging: RawPeer
  events: RawPeer
  waiting: RawPeer
  webSocket: WebSocketPeer
}

async function openPeers(t: TestContext, { port, secure, server }: App): Promise<Peers> {
  const fresh = await connectRaw(t, port, secure)
  const pooled = await connectRaw(t, port, secure)
  await requestRaw(pooled)
  const hanging = await connectRaw(t, port, secure)
  hanging.write(request('/hang'))
  await heard(server, 'request')
  const events = await connectRaw(t, port, secure)
  events.write(request('/events'))
  await events.expect('data: first')
  const waiting = await connectRaw(t, port, secure)
  const upgrade = heard(server, 'upgrade')
  waiting.write(upgradeRequest('/wait'))
  await upgrade
  const webSocket = await openWebSocket(t, port, { secure })
  return { fresh, pooled, hanging, events, waiting, webSocket }
}

/** Every peer is still served. */
async function exercise(peers: Peers, { release }: App): Promise<void> {
  assert.equal(await ask(peers.webSocket, 'hello'), 'hello')
  assert.match(await requestRaw(peers.fresh), /^HTTP\/1\.1 200 [\s\S]*ok$/)
  assert.match(await requestRaw(peers.pooled), /^HTTP\/1\.1 200 [\s\S]*ok$/)
  release()
  assert.match(await readResponse(peers.hanging), /^HTTP\/1\.1 200 [\s\S]*at last$/)
  await peers.events.expect('data: second')
  await peers.waiting.expect('101 Switching Protocols')
  peers.waiting.write(clientFrame(opcodes.text, 'hello'))
  await peers.waiting.expect('hello')
}

/** The server's side of every peer: TCP sockets, TLS sockets above them, WebSockets. */
class ServerSide {
  readonly #sockets = new Map<number, EventEmitter[]>()
  readonly #wss: WebSocketServer

  constructor({ server, wss }: App) {
    this.#wss = wss
    for (const event of ['connection', 'secureConnection']) {
      server.on(event, (socket: Socket) => {
        const port = socket.remotePort as number
        this.#sockets.set(port, [...(this.#sockets.get(port) ?? []), socket])
      })
    }
  }

  marks(peers: Peers): Record<string, unknown> {
    const bySort = Object.entries(peers).map(([sort, { port }]) => [
      sort,
      this.#sockets.get(port)?.map(marksOn),
    ])
    return { ...Object.fromEntries(bySort), webSockets: [...this.#wss.clients].slice(-1).map(marksOn) }
  }
}

for (const secure of [false, true]) {
  const over = secure ? 'https' : 'http'
  test(`detach leaves nothing on servers, sockets and WebSockets, and they work on (${over})`, {
    timeout: 60_000,
  }, async (t) => {
    const app = await startApp(t, { secure })
    const side = new ServerSide(app)
    const { server, wss } = app
    const before = { server: marksOn(server), wss: marksOn(wss), keys: Reflect.ownKeys(server).map(String) }
    const timeouts = [server.keepAliveTimeout, server.headersTimeout]
    const setTimer = t.mock.method(globalThis, 'setInterval')
    const clearTimer = t.mock.method(globalThis, 'clearInterval')
    const signals = process.eventNames().map((event) => [event, process.listenerCount(event)])

    const pulse = createPulse(t, {
      drain: {},
      pressure: {},
      behind: { idleTimeoutMs: 60_000 },
      heartbeat: { intervalMs: 200, timeoutMs: 20_000 },
    })
    pulse.attach(server, wss)
    assert.notDeepEqual([server.keepAliveTimeout, server.headersTimeout], timeouts)
    const peers = await openPeers(t, app)
    await until(() => pulse.snapshot().totals.pongs > 0, 'a heartbeat')
    assert.equal(pulse.snapshot().connections.open, 6)
    assert.notDeepEqual(side.marks(peers), {})
    await pulse.detach()

    assert.deepEqual(
      { server: marksOn(server), wss: marksOn(wss), keys: Reflect.ownKeys(server).map(String) },
      before,
    )
    assert.deepEqual([server.keepAliveTimeout, server.headersTimeout], timeouts)
    assert.deepEqual(
      process.eventNames().map((event) => [event, process.listenerCount(event)]),
      signals,
    )
    const started = setTimer.mock.calls.map(({ result }) => result)
    const stopped = clearTimer.mock.calls.map(({ arguments: [timer] }) => timer)
    assert.equal(started.length, 1)
    assert.ok(started.every((timer) => stopped.includes(timer)))
    assert.equal(pulse.snapshot().connections.open, 0)

    // A socket that never met the pulse is the measure.
    const marks = side.marks(peers)
    const bare = await openPeers(t, app)
    assert.deepEqual(marks, side.marks(bare))

    await exercise(peers, app)
    await exercise(bare, app)
  })

  test(`attach comes late: WebSockets are known at once, requests with the next one (${over})`, {
    timeout: 60_000,
  }, async (t) => {
    const app = await startApp(t, { secure })
    const peers = await openPeers(t, app)
    const pulse = createPulse(t)
    const closes = new Closes(pulse)
    pulse.attach(app.server, app.wss)
    const known = () => new Map([...pulse.connections()].map((c) => [c.remotePort, c.protocol]))
    assert.deepEqual([...known()], [[peers.webSocket.port, 'websocket']])

    await exercise(peers, app)
    assert.equal(known().get(peers.fresh.port), 'http1')
    assert.equal(known().get(peers.pooled.port), 'http1')
    assert.equal(known().get(peers.waiting.port), 'websocket')

    peers.pooled.end()
    peers.webSocket.webSocket.close(4000, 'bye')
    peers.waiting.reset()
    assert.equal((await closes.wait(peers.pooled.port)).closeReason, 'peer-closed')
    assert.equal((await closes.wait(peers.webSocket.port)).closeReason, 'peer-closed')
    assert.equal((await closes.wait(peers.waiting.port)).closeReason, 'peer-reset')
    assert.equal(closes.all.length, 3)
  })
}

test('attach before listen, after it, twice and in parts is one attach', { timeout: 60_000 }, async (t) => {
  const pulse = createPulse(t)
  const closes = new Closes(pulse)
  let opens = 0
  pulse.on('connection:open', () => void opens++)
  const app = await startApp(t, { prepare: (server) => void pulse.attach(server) })
  assert.equal(pulse.attach(app.server), app.server)
  const { emit } = app.server
  assert.equal(pulse.attach(app.wss, app.server), app.wss)
  pulse.attach(app.wss)
  assert.equal(app.server.emit, emit, 'taken over once')

  const peer = await openWebSocket(t, app.port)
  assert.equal(await ask(peer, 'hello'), 'hello')
  const [webSocket] = app.wss.clients
  assert.ok(webSocket)
  assert.equal(webSocket.listenerCount('error'), 1)
  assert.equal(opens, 1)
  peer.webSocket.close()
  assert.equal((await closes.wait(peer.port)).closeReason, 'peer-closed')
  await turn()
  assert.equal(closes.all.length, 1)
  await pulse.detach()
  await pulse.detach()
  assert.equal(Object.hasOwn(app.server, 'emit'), false)
  assert.equal(Object.hasOwn(app.wss, 'emit'), false)
  assert.throws(() => pulse.attach(app.server), { code: 'PEERPULSE_ERR_DETACHED' })
})

test('two pulses on one server do not disturb each other, in whatever order they leave', {
  timeout: 60_000,
}, async (t) => {
  const app = await startApp(t)
  const first = createPulse(t)
  const second = createPulse(t)
  const closes = [new Closes(first), new Closes(second)]
  first.attach(app.server, app.wss)
  second.attach(app.server, app.wss)
  const peer = await openWebSocket(t, app.port)
  const other = await openWebSocket(t, app.port)
  assert.equal(await ask(peer, 'hello'), 'hello')
  peer.webSocket.close()
  for (const each of closes) assert.equal((await each.wait(peer.port)).closeReason, 'peer-closed')
  await first.detach()
  assert.equal(await ask(other, 'hello'), 'hello')
  other.webSocket.terminate()
  const late = await openWebSocket(t, app.port)
  assert.equal(await ask(late, 'hello'), 'hello')
  assert.equal(second.snapshot().connections.byProtocol.websocket, 1)
  assert.equal(first.snapshot().connections.open, 0)
  await second.detach()
  const [webSocket] = app.wss.clients
  assert.ok(webSocket)
  assert.equal(webSocket.listenerCount('error'), 0)
})

test('several servers and WebSocketServers: server, noServer, path', { timeout: 60_000 }, async (t) => {
  const pulse = createPulse(t)
  const closes = new Closes(pulse)
  const greet = (name: string) => (wss: WebSocketServer) =>
    wss.on('connection', (webSocket) => webSocket.on('message', () => webSocket.send(name)))

  const whole = await startServer(t, ok)
  const wholeWss = new WebSocketServer({ server: whole.server })
  greet('whole')(wholeWss)

  const byHand = await startServer(t, ok)
  const paths = ['/a', '/b'].map((path) => greet(path)(new WebSocketServer({ noServer: true, path })))
  byHand.server.on('upgrade', (req, socket, head) => {
    const wss = paths.find((each) => each.shouldHandle(req))
    if (wss === undefined) socket.destroy()
    else wss.handleUpgrade(req, socket, head, (webSocket) => wss.emit('connection', webSocket, req))
  })

  const secure = await startServer(t, ok, { secure: true })
  greet('secure')(new WebSocketServer({ server: secure.server, path: '/c' }))

  pulse.attach(wholeWss, ...paths, byHand.server, secure.server)
  const peers: [string, WebSocketPeer][] = [
    ['whole', await openWebSocket(t, whole.port)],
    ['/a', await openWebSocket(t, byHand.port, { path: '/a' })],
    ['/b', await openWebSocket(t, byHand.port, { path: '/b' })],
    ['secure', await openWebSocket(t, secure.port, { secure: true, path: '/c' })],
  ]
  for (const [name, peer] of peers) assert.equal(await ask(peer, 'who'), name)
  const pooled = await connectRaw(t, whole.port)
  await requestRaw(pooled)
  assert.deepEqual(pulse.snapshot().connections.byProtocol, { websocket: 4, http1: 1 })

  for (const [, peer] of peers) peer.webSocket.close()
  for (const [name, peer] of peers) {
    assert.equal((await closes.wait(peer.port)).closeReason, 'peer-closed', name)
  }
  const stray = await connectRaw(t, byHand.port)
  stray.write(upgradeRequest('/nowhere'))
  assert.equal((await closes.wait(stray.port)).closeReason, 'server-closed')
  assert.deepEqual(pulse.snapshot().connections.byProtocol, { http1: 1 })
})

test('a noServer WebSocketServer alone: its WebSockets are followed, its http server is not touched', {
  timeout: 60_000,
}, async (t) => {
  const app = await startApp(t)
  const pulse = createPulse(t)
  const closes = new Closes(pulse)
  pulse.attach(app.wss)
  const peer = await openWebSocket(t, app.port)
  assert.equal(await ask(peer, 'hello'), 'hello')
  assert.deepEqual(pulse.snapshot().connections.byProtocol, { websocket: 1 })
  assert.equal(Object.hasOwn(app.server, 'emit'), false)
  peer.webSocket.terminate()
  assert.equal((await closes.wait(peer.port)).closeReason, 'peer-ended')
})

test('a WebSocketServer with a port of its own may come alone', { timeout: 60_000 }, async (t) => {
  const pulse = createPulse(t)
  const closes = new Closes(pulse)
  const wss = new WebSocketServer({ port: 0, host: '127.0.0.1' })
  t.after(() => wss.close())
  wss.on('connection', (webSocket) => webSocket.on('message', () => webSocket.send('here')))
  assert.equal(pulse.attach(wss), wss)
  await heard(wss, 'listening')
  const { port } = wss.address() as AddressInfo
  const peer = await openWebSocket(t, port)
  assert.equal(await ask(peer, 'where'), 'here')
  assert.equal(pulse.snapshot().connections.byProtocol.websocket, 1)
  // Its http server answers probes.
  const prober = await connectRaw(t, port)
  assert.match(await requestRaw(prober, '/livez'), /^HTTP\/1\.1 200 /)
  const bad = await upgradeRaw(t, port)
  bad.write(clientFrame(opcodes.reserved, 'x'))
  assert.equal((await closes.wait(bad.port)).closeReason, 'protocol-error')
  peer.webSocket.close()
  assert.equal((await closes.wait(peer.port)).closeReason, 'peer-closed')
})

test('a socket of an unknown upgrade library is watched as upgraded', { timeout: 60_000 }, async (t) => {
  const { server, port } = await startServer(t, ok)
  server.on('upgrade', (req, socket) => {
    const accept = createHash('sha1')
      .update(`${req.headers['sec-websocket-key']}258EAFA5-E914-47DA-95CA-C5AB0DC85B11`)
      .digest('base64')
    socket.write(
      `HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nConnection: Upgrade\r\nSec-WebSocket-Accept: ${accept}\r\n\r\n`,
    )
    socket.on('data', (chunk) => socket.write(`heard ${chunk.length}`))
    if (req.url === '/fail') socket.destroy(new Error('the app failed'))
  })
  server.on('connect', (_req, socket) => {
    socket.write('HTTP/1.1 200 OK\r\n\r\n')
    socket.on('data', (chunk) => socket.write(chunk))
    socket.on('end', () => socket.end())
  })
  const pulse = createPulse(t, { idle: { upgradedMs: 500 } })
  const closes = new Closes(pulse)
  pulse.attach(server)

  const talker = await upgradeRaw(t, port)
  const quiet = await upgradeRaw(t, port)
  talker.write('hello')
  await talker.expect('heard 5')
  assert.deepEqual(pulse.snapshot().connections.byProtocol, { upgraded: 2 })
  assert.equal((await closes.wait(quiet.port)).closeReason, 'idle-timeout')
  const reset = await upgradeRaw(t, port)
  reset.write('hello')
  await reset.expect('heard 5')
  reset.reset()
  assert.equal((await closes.wait(reset.port)).closeReason, 'peer-reset')
  const failed = await connectRaw(t, port)
  failed.write(upgradeRequest('/fail'))
  assert.equal((await closes.wait(failed.port)).closeReason, 'server-error')

  const tunnel = await connectRaw(t, port)
  tunnel.write('CONNECT example:80 HTTP/1.1\r\nHost: example:80\r\n\r\n')
  await tunnel.expect('\r\n\r\n')
  tunnel.write('through')
  await tunnel.expect('through')
  assert.equal([...pulse.connections()].find((c) => c.remotePort === tunnel.port)?.protocol, 'upgraded')
  tunnel.end()
  assert.equal((await closes.wait(tunnel.port)).closeReason, 'peer-closed')
})

/** Libraries that sit on ws, and how a client of theirs opens. */
const libraries: Record<string, { path: string; protocol?: string; serve: (server: Server) => void }> = {
  crossws: {
    path: '/',
    serve(server) {
      const adapter = nodeAdapter({ hooks: { upgrade: async () => void (await turn()) } })
      server.on('upgrade', (req, socket, head) => void adapter.handleUpgrade(req, socket, head))
    },
  },
  'engine.io': {
    path: '/engine.io/?EIO=4&transport=websocket',
    serve: (server) => void new EngineServer().attach(server),
  },
  'socket.io': {
    path: '/socket.io/?EIO=4&transport=websocket',
    serve: (server) => void new SocketServer(server),
  },
  'graphql-ws': {
    path: '/graphql',
    protocol: 'graphql-transport-ws',
    serve(server) {
      const wss = new WebSocketServer({ server, path: '/graphql' })
      useServer({ schema: buildSchema('type Query { hello: String }') }, wss)
    },
  },
}

for (const [name, { path, protocol, serve }] of Object.entries(libraries)) {
  for (const secure of [false, true]) {
    test(`${name} is adopted as websocket over ${secure ? 'https' : 'http'}, with heartbeat and reasons`, {
      timeout: 60_000,
    }, async (t) => {
      const pulse = createPulse(t, { heartbeat: { intervalMs: 200, timeoutMs: 300 } })
      const closes = new Closes(pulse)
      const { server, port } = await startServer(t, ok, { secure })
      serve(server)
      pulse.attach(server)
      const open = { secure, path, ...(protocol !== undefined && { protocol }) }
      const good = await openWebSocket(t, port, open)
      const of = (peerPort: number) => [...pulse.connections()].find((c) => c.remotePort === peerPort)
      assert.equal(of(good.port)?.protocol, 'websocket')
      await until(() => of(good.port)?.rttMs !== undefined, 'a heartbeat')

      const deaf = await connectRaw(t, port, secure)
      deaf.write(upgradeRequest(path, protocol === undefined ? {} : { 'Sec-WebSocket-Protocol': protocol }))
      await deaf.expect('101')
      deaf.pause()
      assert.equal((await closes.wait(deaf.port)).closeReason, 'half-open')
      good.webSocket.close(1000)
      assert.equal((await closes.wait(good.port)).closeReason, 'peer-closed')
      assert.equal(closes.all.length, 2)
    })
  }
}

for (const secure of [false, true]) {
  test(`connectionOf in the app's own listeners, added before and after attach (${secure ? 'https' : 'http'})`, {
    timeout: 60_000,
  }, async (t) => {
    const pulse = createPulse(t)
    const seen: Record<string, (Connection | undefined)[]> = {}
    const note =
      (where: string) =>
      (...carriers: object[]) => {
        seen[where] = carriers.map((carrier) => pulse.connectionOf(carrier))
      }
    function listen(server: Server, wss: WebSocketServer, when: string): void {
      server.on(secure ? 'secureConnection' : 'connection', note(`socket, ${when}`))
      server.on('request', note(`request, ${when}`))
      server.on('upgrade', (req, socket) => note(`upgrade, ${when}`)(req, socket))
      wss.on('connection', (webSocket, req) => note(`WebSocket, ${when}`)(webSocket, req))
    }
    const { server, port } = await startServer(t, ok, { secure })
    const wss = new WebSocketServer({ server })
    listen(server, wss, 'before')
    pulse.attach(server, wss)
    listen(server, wss, 'after')

    const peer = await connectRaw(t, port, secure)
    await requestRaw(peer)
    peer.write(upgradeRequest())
    await peer.expect('101')
    const [connection] = pulse.connections()
    assert.ok(connection)
    assert.equal(connection.remotePort, peer.port)
    assert.equal(connection.protocol, 'websocket')
    const places = ['socket', 'request', 'upgrade', 'WebSocket']
    for (const when of ['before', 'after']) {
      for (const place of places) {
        const found = seen[`${place}, ${when}`]
        assert.ok(found && found.length > 0, `${place}, ${when}: not heard`)
        for (const each of found) assert.equal(each, connection, `${place}, ${when}`)
      }
    }
    assert.equal(pulse.connectionOf({}), undefined)
    assert.equal(pulse.connectionOf(server), undefined)
  })
}

test('connectionOf for a WebSocketServer that is not on an attached server', {
  timeout: 60_000,
}, async (t) => {
  const pulse = createPulse(t)
  const app = await startApp(t)
  const found: (Connection | undefined)[] = []
  app.wss.on('connection', (webSocket) => found.push(pulse.connectionOf(webSocket)))
  pulse.attach(app.wss)
  app.wss.on('connection', (webSocket) => found.push(pulse.connectionOf(webSocket)))
  const peer = await openWebSocket(t, app.port)
  await until(() => found.length === 2, 'both listeners')
  assert.deepEqual(
    found.map((connection) => connection?.remotePort),
    [peer.port, peer.port],
  )
})

/** The part of Express 4 and 5 that is used here. */
type Express = () => RequestListener & {
  use(middleware: ReturnType<Peerpulse['middleware']>): unknown
  get(path: string, handler: RequestListener): unknown
}

for (const [name, create] of Object.entries({ 'Express 4': express4, 'Express 5': express }) as [
  string,
  Express,
][]) {
  test(`${name}: the middleware beside attach is harmless`, { timeout: 60_000 }, async (t) => {
    const pulse = createPulse(t)
    const warnings: Warning[] = []
    pulse.on('warning', (warning) => warnings.push(warning))
    const app = create()
    app.use(pulse.middleware())
    app.get('/', (req, res) => res.end(pulse.connectionOf(req)?.protocol))
    const { server, port } = await startServer(t, app)
    pulse.attach(server)
    const peer = await connectRaw(t, port)
    assert.match(await requestRaw(peer), /^HTTP\/1\.1 200 [\s\S]*http1$/)
    assert.match(await requestRaw(peer, '/livez'), /^HTTP\/1\.1 200 /)
    assert.match(await requestRaw(peer, '/readyz'), /^HTTP\/1\.1 200 /)
    assert.match(await requestRaw(peer, '/nowhere'), /^HTTP\/1\.1 404 /)
    assert.deepEqual(warnings, [])
  })

  test(`${name}: the middleware without attach serves probes and warns once`, {
    timeout: 60_000,
  }, async (t) => {
    const pulse = createPulse(t)
    const warnings: Warning[] = []
    pulse.on('warning', (warning) => warnings.push(warning))
    const app = create()
    app.use(pulse.middleware())
    app.get('/', (_req, res) => res.end('ok'))
    const { port } = await startServer(t, app)
    const peer = await connectRaw(t, port)
    assert.match(await requestRaw(peer), /^HTTP\/1\.1 200 [\s\S]*ok$/)
    assert.match(await requestRaw(peer, '/livez'), /^HTTP\/1\.1 200 /)
    const other = await connectRaw(t, port)
    assert.match(await requestRaw(other, '/readyz'), /^HTTP\/1\.1 200 /)
    assert.deepEqual(
      warnings.map(({ code }) => code),
      ['PEERPULSE_WARN_NOT_ATTACHED'],
    )
    assert.match(warnings[0]?.message ?? '', /heartbeats.*off.*pulse\.attach\(server\)/)
    assert.equal(pulse.snapshot().connections.open, 0)
  })
}

test('detach while a TLS handshake waits', { timeout: 60_000 }, async (t) => {
  const { server, port, sockets } = await startServer(t, ok, { secure: true })
  const pulse = createPulse(t)
  pulse.attach(server)
  const peer = await connectTcp(t, port)
  await until(() => pulse.snapshot().connections.open === 1, 'accept')
  await pulse.detach()
  const [socket] = sockets
  assert.ok(socket)
  assert.deepEqual(marksOn(socket).own, [])
  const other = await connectTcp(t, port)
  await until(() => sockets.size === 2, 'accept')
  assert.deepEqual(marksOn(socket), marksOn([...sockets][1] as Socket))
  peer.reset()
  other.reset()
})

test('await using: the pulse detaches at the end of its block', { timeout: 60_000 }, async (t) => {
  const { server } = await startServer(t, ok)
  {
    await using pulse = peerpulse({ drain: false })
    pulse.attach(server)
    assert.equal(Object.hasOwn(server, 'emit'), true)
  }
  assert.equal(Object.hasOwn(server, 'emit'), false)
})
