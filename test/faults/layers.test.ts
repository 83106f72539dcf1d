import assert from 'node:assert/strict'
import { EventEmitter } from 'node:events'
import { createServer, type IncomingMessage, Server, type ServerResponse } from 'node:http'
import { connect, Socket } from 'node:net'
import { type TestContext, test } from 'node:test'
import { type Peerpulse, type PeerpulseOptions, peerpulse } from 'peerpulse'
import { WebSocket, WebSocketServer } from 'ws'
import { connectRaw, type RawPeer, requestRaw } from '../support/raw-peer.js'
import { startServer } from '../support/servers.js'
import { until } from '../support/wait.js'
import { ask, openWebSocket } from '../support/web-socket.js'

/** What a tool or another pulse may take over. */
type Methods = Record<string, (...args: unknown[]) => unknown>

interface House {
  readonly server: Server
  readonly wss: WebSocketServer
  readonly port: number
  /** The server's sides. */
  readonly pooled: { peer: RawPeer; socket: Socket }
  readonly webSocket: { client: Awaited<ReturnType<typeof openWebSocket>>; socket: WebSocket }
  /** Every object whose method may be an own one, with that method. */
  readonly places: readonly [target: Methods, name: string][]
}

async function startHouse(t: TestContext, secure = false): Promise<House> {
  const sockets: Socket[] = []
  const { server, port } = await startServer(t, (_req, res) => void res.end('ok'), {
    secure,
    prepare: (server) =>
      server.on(secure ? 'secureConnection' : 'connection', (socket) => sockets.push(socket)),
  })
  const wss = new WebSocketServer({ server })
  wss.on('connection', (webSocket) => webSocket.on('message', (data) => webSocket.send(String(data))))
  const peer = await connectRaw(t, port, secure)
  await requestRaw(peer)
  const client = await openWebSocket(t, port, { secure })
  const socket = sockets[0] as Socket
  const [webSocket] = wss.clients as unknown as [WebSocket]
  const places = [
    [server, 'emit'],
    [wss, 'emit'],
    [socket, 'write'],
    [webSocket, 'send'],
  ] as unknown as [Methods, string][]
  return {
    server,
    wss,
    port,
    pooled: { peer, socket },
    webSocket: { client, socket: webSocket },
    places,
  }
}

async function attach(t: TestContext, house: House, options: PeerpulseOptions = {}): Promise<Peerpulse> {
  const pulse = peerpulse({ drain: false, pressure: false, ...options })
  t.after(() => pulse.detach())
  pulse.attach(house.server, house.wss)
  // Known with their next request; the WebSocket is at once.
  await serves(house)
  return pulse
}

async function serves({ pooled, webSocket }: House): Promise<void> {
  assert.match(await requestRaw(pooled.peer), /ok$/)
  assert.equal(await ask(webSocket.client, 'hello'), 'hello')
}

const ownOf = ({ places }: House) => places.map(([target, name]) => Object.hasOwn(target, name))

const none = [false, false, false, false]
const all = [true, true, true, true]

for (const secure of [false, true])
  for (const order of ['012', '021', '102', '120', '201', '210'])
    test(`three pulses leave in the order ${order}: nothing is left over ${secure ? 'https' : 'http'}`, async (t) => {
      const house = await startHouse(t, secure)
      assert.deepEqual(ownOf(house), none)
      const pulses: Peerpulse[] = []
      for (let i = 0; i < 3; i++) pulses.push(await attach(t, house))
      assert.deepEqual(ownOf(house), all)
      for (const [at, i] of [...order].entries()) {
        await pulses[Number(i)]?.detach()
        await serves(house)
        assert.deepEqual(ownOf(house), at === 2 ? none : all)
      }
    })

test('a thousand reloads, each new pulse before the old one goes, leave nothing and no longer way', async (t) => {
  const house = await startHouse(t)
  let pulse = await attach(t, house)
  const depth = () => {
    let lines = 0
    const limit = Error.stackTraceLimit
    Error.stackTraceLimit = 1_000
    house.server.once('depth', () => {
      lines = (new Error().stack ?? '').match(/\bemit\b/g)?.length ?? 0
    })
    house.server.emit('depth')
    Error.stackTraceLimit = limit
    return lines
  }
  const before = depth()
  for (let i = 0; i < 1_000; i++) {
    const next = peerpulse({ drain: false, pressure: false, history: false })
    next.attach(house.server, house.wss)
    // Every one of them gets to know both connections.
    await requestRaw(house.pooled.peer)
    await pulse.detach()
    pulse = next
  }
  t.after(() => pulse.detach())
  assert.equal(depth(), before)
  await serves(house)
  await pulse.detach()
  assert.deepEqual(ownOf(house), none)
})

/** A tool that takes a method over as an own property, and passes every call on. */
function tool(target: Methods, name: string): { calls: number; remove(): void } {
  const own = Object.getOwnPropertyDescriptor(target, name)
  const below = target[name] as (...args: unknown[]) => unknown
  const state = {
    calls: 0,
    remove() {
      if (own === undefined) delete target[name]
      else Object.defineProperty(target, name, own)
    },
  }
  target[name] = function (this: unknown, ...args: unknown[]) {
    state.calls++
    return below.apply(this, args)
  }
  return state
}

test('a tool that came after us works on when we go, and nothing of ours is left when it goes', async (t) => {
  const house = await startHouse(t)
  const pulse = await attach(t, house)
  const tools = house.places.map(([target, name]) => tool(target, name))
  const second = await attach(t, house)
  await pulse.detach()
  await second.detach()
  const called = tools.map(({ calls }) => calls)
  house.wss.emit('anything')
  await serves(house)
  tools.forEach(({ calls }, i) => void assert.ok(calls > (called[i] ?? 0), house.places[i]?.[1]))
  for (const { remove } of tools) remove()
  // What was left below goes with the first call that finds it.
  house.wss.emit('anything')
  await serves(house)
  assert.deepEqual(ownOf(house), none)
})

test('a tool that came before us is there again when we go, and sees everything meanwhile', async (t) => {
  const house = await startHouse(t)
  const tools = house.places.map(([target, name]) => tool(target, name))
  const theirs = house.places.map(([target, name]) => target[name])
  const pulse = await attach(t, house)
  const second = await attach(t, house)
  await pulse.detach()
  house.wss.emit('anything')
  for (const { calls } of tools) assert.ok(calls > 0)
  await second.detach()
  assert.deepEqual(
    house.places.map(([target, name]) => target[name]),
    theirs,
  )
})

test('a method that is patched on a prototype later is used, with one pulse and with two', async (t) => {
  const house = await startHouse(t)
  await attach(t, house)
  await attach(t, house)
  const prototypes = [Server.prototype, EventEmitter.prototype, Socket.prototype, WebSocket.prototype]
  const seen: string[] = []
  for (const [i, [target, name]] of house.places.entries()) {
    const prototype = prototypes[i] as unknown as Methods
    const original = prototype[name] as (...args: unknown[]) => unknown
    t.mock.method(prototype, name, function (this: object, ...args: unknown[]) {
      if (this === target) seen.push(`${i}: ${String(args[0]).slice(0, 20)}`)
      return original.apply(this, args)
    })
  }
  house.server.emit('late')
  house.wss.emit('late')
  await serves(house)
  t.mock.restoreAll()
  assert.equal(seen.filter((line) => line === '0: late').length, 1)
  assert.equal(seen.filter((line) => line === '1: late').length, 1)
  assert.ok(seen.some((line) => line.startsWith('2: HTTP/1.1 200')))
  assert.ok(seen.includes('3: hello'))
})

// Events without what belongs to them ------------------------------------------------------------

const events = [
  'request',
  'checkContinue',
  'checkExpectation',
  'connection',
  'secureConnection',
  'upgrade',
  'connect',
  'timeout',
  'clientError',
  'tlsClientError',
  'dropRequest',
]
const oddities: [string, unknown[]][] = [
  ['nothing', []],
  ['null', [null, null]],
  ['a text', ['x', 'y']],
  ['empty objects', [{}, {}]],
  ['a socket that was never connected', [new Socket(), new Socket()]],
  ['a request with such a socket', [{ socket: new Socket(), headers: {} }, new Socket()]],
  ['a mock of a request', [{ method: 'GET', url: '/', headers: {} }, { end() {} }]],
  ['a mock with the mock of a socket', [{ url: '/', headers: {}, socket: { remoteAddress: '::1' } }, {}]],
  ['an error without a socket', [new Error('made up')]],
]
for (const secure of [false, true])
  test(`events without what belongs to them reach the app, and nobody is warned (${secure ? 'https' : 'http'})`, async (t) => {
    const { server, port } = await startServer(t, undefined, { secure })
    // Node's own listeners take what they are given; the matter here are ours.
    for (const event of events) server.removeAllListeners(event)
    const wss = new WebSocketServer({ noServer: true })
    const warnings: string[] = []
    const pulse = peerpulse({ drain: false, pressure: false, limits: { maxPerPeer: 5 } })
    t.after(() => pulse.detach())
    pulse.on('warning', ({ message }) => warnings.push(message))
    pulse.attach(server, wss)
    for (const event of events)
      for (const [what, args] of oddities) {
        let heard: unknown[] | undefined
        server.once(event, (...passed: unknown[]) => {
          heard = passed
        })
        server.emit(event, ...args)
        assert.deepEqual(heard, args, `${event} with ${what}`)
      }
    for (const [, args] of oddities) wss.emit('connection', ...(args as [never, never]))
    assert.deepEqual(warnings, [])
    const { totals, connections } = pulse.snapshot()
    assert.equal(totals.callbackErrors, 0)
    assert.equal(connections.open, 0)
    assert.ok(port > 0)
  })

test('a mock of a request goes through server and middleware to the app', (t) => {
  const pulse = peerpulse({ drain: false, pressure: false })
  t.after(() => pulse.detach())
  const warnings: string[] = []
  pulse.on('warning', ({ message }) => warnings.push(message))
  const middleware = pulse.middleware()
  let answered = 0
  const server = createServer((req, res) => middleware(req, res, () => res.end()))
  pulse.attach(server)
  for (const socket of [undefined, null, {}, new EventEmitter()]) {
    const req = { method: 'GET', url: '/', headers: {}, ...(socket === undefined ? {} : { socket }) }
    server.emit('request', req as IncomingMessage, { end: () => answered++ } as unknown as ServerResponse)
  }
  assert.equal(answered, 4)
  assert.deepEqual(warnings, [])
})

// Unix sockets -----------------------------------------------------------------------------------

test('connections of a unix socket are ended like others, without a warning', async (t) => {
  const path = `/tmp/peerpulse-${process.pid}-${Math.random().toString(36).slice(2)}.sock`
  const server = createServer((_req, res) => void res.write('some'))
  const warnings: string[] = []
  const reasons: unknown[] = []
  const pulse = peerpulse({ drain: false, pressure: false })
  pulse.on('warning', ({ message }) => warnings.push(message))
  pulse.on('connection:close', ({ closeReason }) => reasons.push(closeReason))
  t.after(() => pulse.detach())
  pulse.attach(server)
  await new Promise<void>((resolve) => server.listen(path, resolve))
  t.after(() => new Promise((resolve) => server.close(resolve)))
  for (const reason of ['half-open', 'slow-consumer', 'drain'] as const) {
    const client = connect(path)
    t.after(() => client.destroy())
    let isGone = false
    client
      .on('error', () => {})
      .on('close', () => {
        isGone = true
      })
    client.resume().write('GET / HTTP/1.1\r\nHost: x\r\n\r\n')
    const [connection] = await until(() => {
      const open = [...pulse.connections()]
      return open.length > 0 && open[0]?.phase === 'request' ? open : undefined
    }, 'the request')
    connection?.terminate(reason)
    await until(() => isGone, 'the end of the connection')
  }
  assert.deepEqual(reasons, ['half-open', 'slow-consumer', 'drain'])
  assert.deepEqual(warnings, [])
  assert.equal(pulse.snapshot().totals.callbackErrors, 0)
})

test('an object that an app makes of a WebSocket or a socket has working methods', async (t) => {
  const house = await startHouse(t)
  await attach(t, house)
  const { socket, client } = house.webSocket
  const derived: WebSocket = Object.create(socket)
  assert.equal(derived.send, socket.send)
  socket.once('message', () => {
    derived.ping()
    derived.send('through an object of its own')
  })
  await ask(client, 'go')
  await until(() => client.messages.includes('through an object of its own'), 'the message')
  const below: Socket = Object.create(house.pooled.socket)
  below.destroy()
  await house.pooled.peer.gone()
})
