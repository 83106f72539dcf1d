import assert from 'node:assert/strict'
import type { IncomingMessage, Server, ServerResponse } from 'node:http'
import type { Duplex } from 'node:stream'
import { type TestContext, test } from 'node:test'
import {
  type CloseReason,
  type ConnectionPhase,
  type Peerpulse,
  type PeerpulseOptions,
  peerpulse,
} from 'peerpulse'
import { type WebSocket, WebSocketServer } from 'ws'
import { badFrames, clientFrame, opcodes, request, upgradeRequest } from '../support/frames.js'
import { Random } from '../support/random.js'
import { connectRaw, connectTcp, readResponse, requestRaw, upgradeRaw } from '../support/raw-peer.js'
import { type Scope, startServer } from '../support/servers.js'
import { pause, until } from '../support/wait.js'
import { Closes } from '../support/watched.js'
import { openWebSocket } from '../support/web-socket.js'

const MiB = 1024 * 1024
/** Scenarios begin over this time, mixed at random. */
const startsMs = 1_500
const repeats = 3

/** One pulse and its server, configured so that some of the reasons come quickly. */
interface World {
  readonly scope: Scope
  readonly name: string
  readonly secure: boolean
  readonly pulse: Peerpulse
  readonly server: Server
  readonly wss: WebSocketServer
  readonly port: number
  readonly closes: Closes
  readonly ports: number[]
}

const settings = {
  plain: {},
  heartbeat: { heartbeat: { intervalMs: 300, timeoutMs: 300 } },
  'keep-alive': {},
  lifetime: { lifetime: { maxAgeMs: 500, jitter: 0 } },
  budget: {
    budget: {
      perConnectionBytes: MiB,
      highWaterBytes: MiB / 4,
      lowWaterBytes: MiB / 8,
      stalledMs: 300,
      totalBytes: 512 * MiB,
    },
    drain: { signals: [] as NodeJS.Signals[], closeTimeoutMs: 300 },
  },
  pressure: { pressure: { memory: { limitBytes: 1 }, warmUpMs: 0 } },
  'all-limit': { limits: { maxConnections: 10 } },
  'peer-limit': { limits: { maxPerPeer: 10 } },
  handshake: { limits: { handshakeTimeoutMs: 500 } },
  drain: {
    drain: { signals: [], readinessDelayMs: 400, spreadMs: 200, closeTimeoutMs: 500, deadlineMs: 10_000 },
  },
} satisfies Record<string, PeerpulseOptions>

type Setting = keyof typeof settings

/** Held by peers while the caps are tried. */
const heldPeers = 10

const boom = () => new Error('the app failed')

function app(req: IncomingMessage, res: ServerResponse): void {
  const routes: Record<string, () => void> = {
    '/hang': () => {},
    '/half': () => res.writeHead(200, { 'Content-Length': 100 }).write('half of it'),
    '/slow': () => void setTimeout(() => res.end('slow'), 700),
    '/last': () => res.writeHead(200, { Connection: 'close', 'Content-Length': 2 }).end('ok'),
    '/destroy': () => req.socket.destroy(),
    '/end': () => req.socket.end(),
    '/fail': () => req.socket.destroy(boom()),
    '/fail-response': () => void res.writeHead(200).destroy(boom()),
    '/large': () => void res.end(Buffer.alloc(12 * MiB)),
    '/flood': () => void res.end(Buffer.alloc(64 * MiB)),
  }
  const route = routes[req.url ?? ''] ?? (() => void res.end('ok'))
  route()
}

function webSocketApp(pulse: Peerpulse, webSocket: WebSocket, req: IncomingMessage): void {
  const routes: Record<string, () => void> = {
    '/idle': () => {
      const connection = pulse.connectionOf(webSocket)
      if (connection) connection.idleTimeoutMs = 300
    },
    '/echo': () => void webSocket.on('message', (data) => webSocket.send(String(data))),
    '/close': () => webSocket.close(1000, 'done'),
    '/terminate': () => webSocket.terminate(),
    '/end': () => req.socket.end(),
    '/destroy': () => req.socket.destroy(),
    '/fail': () => req.socket.destroy(boom()),
    '/flood': () => {
      for (let i = 0; i < 64; i++) webSocket.send(Buffer.alloc(MiB))
    },
  }
  routes[req.url ?? '']?.()
}

function upgradeApp(wss: WebSocketServer, req: IncomingMessage, socket: Duplex, head: Buffer): void {
  if (req.url === '/upgrade-hangs') return
  if (req.url === '/upgrade-refused') socket.end('HTTP/1.1 401 Unauthorized\r\nConnection: close\r\n\r\n')
  else if (req.url === '/upgrade-fails') socket.destroy(boom())
  else wss.handleUpgrade(req, socket, head, (webSocket) => wss.emit('connection', webSocket, req))
}

async function createWorld(t: TestContext, setting: Setting, secure: boolean): Promise<World> {
  const options: PeerpulseOptions = settings[setting]
  const pulse = peerpulse({ drain: false, pressure: false, probes: false, ...options })
  const wss = new WebSocketServer({ noServer: true })
  wss.on('connection', (webSocket, req) => webSocketApp(pulse, webSocket, req))
  const { server, port } = await startServer(t, app, {
    secure,
    prepare(server) {
      server.on('upgrade', (req, socket, head) => upgradeApp(wss, req, socket, head))
      if (setting === 'keep-alive') server.keepAliveTimeout = 300
      // For the peers that hold the places.
      if (setting.endsWith('-limit')) server.keepAliveTimeout = 0
      pulse.attach(server, wss)
    },
  })
  t.after(() => pulse.detach())
  const world: World = {
    scope: t,
    name: `${setting} over ${secure ? 'https' : 'http'}`,
    secure,
    pulse,
    server,
    wss,
    port,
    closes: new Closes(pulse),
    ports: [],
  }
  if (setting === 'pressure') await until(() => pulse.snapshot().pressure.level === 'critical', 'pressure')
  if (setting.endsWith('-limit')) for (let i = 0; i < heldPeers; i++) await hold(world)
  return world
}

/** Takes a place under the caps, until the test ends. */
async function hold(world: World): Promise<void> {
  const peer = await connectRaw(world.scope, world.port, world.secure)
  await requestRaw(peer)
}

/** What a peer, the app or the pulse does; the result is the port of the peer's side. */
interface Scenario {
  readonly what: string
  readonly reason: CloseReason
  readonly setting: Setting
  /** What it was doing, by the evidence. */
  readonly phase?: ConnectionPhase
  readonly only?: 'http' | 'https'
  /** One after the other: two at a time would be beyond 110 % of the cap. */
  readonly alone?: boolean
  readonly run: (world: World) => Promise<number>
}

const raw = ({ scope, port, secure }: World) => connectRaw(scope, port, secure)
const rawWebSocket = ({ scope, port, secure }: World, path = '/') => upgradeRaw(scope, port, { secure, path })
const goodWebSocket = ({ scope, port, secure }: World, path = '/') =>
  openWebSocket(scope, port, { secure, path })

/** A request whose connection then ends without more of the peer's doing. */
const afterRequest = (path: string) => async (world: World) => {
  const peer = await raw(world)
  peer.write(request(path))
  return peer.port
}

/** An upgrade whose connection then ends without more of the peer's doing. */
const afterUpgrade = (path: string) => async (world: World) => {
  const peer = await raw(world)
  peer.write(upgradeRequest(path))
  return peer.port
}

const scenarios: Scenario[] = [
  // The peer ends it.
  {
    what: 'a WebSocket client closes',
    reason: 'peer-closed',
    setting: 'plain',
    phase: 'established',
    async run(world) {
      const peer = await goodWebSocket(world)
      peer.webSocket.close(1000, 'bye')
      assert.equal((await peer.closed).code, 1000)
      return peer.port
    },
  },
  {
    what: 'a WebSocket client sends a close frame and its FIN at once',
    reason: 'peer-closed',
    setting: 'plain',
    async run(world) {
      const peer = await rawWebSocket(world)
      peer.write(clientFrame(opcodes.close, Buffer.from([0x03, 0xe8])))
      peer.end()
      return peer.port
    },
  },
  {
    what: 'a WebSocket client sends a close frame and resets',
    reason: 'peer-closed',
    setting: 'plain',
    async run(world) {
      const peer = await rawWebSocket(world)
      peer.write(clientFrame(opcodes.close, Buffer.from([0x03, 0xe8])))
      await until(() => peer.received.length > 0, 'the answer to the close frame')
      peer.reset()
      return peer.port
    },
  },
  {
    what: 'FIN after a response',
    reason: 'peer-closed',
    setting: 'plain',
    phase: 'keep-alive',
    async run(world) {
      const peer = await raw(world)
      await requestRaw(peer)
      await requestRaw(peer)
      peer.end()
      return peer.port
    },
  },
  {
    what: 'FIN before any request',
    reason: 'peer-closed',
    setting: 'plain',
    phase: 'awaiting-request',
    async run(world) {
      const peer = await raw(world)
      await untilPhase(world, peer.port, 'awaiting-request')
      peer.end()
      return peer.port
    },
  },
  {
    what: 'FIN before a TLS handshake (the check of a balancer)',
    reason: 'peer-closed',
    setting: 'plain',
    phase: 'tls-handshake',
    only: 'https',
    async run(world) {
      const peer = await connectTcp(world.scope, world.port)
      await untilPhase(world, peer.port, 'tls-handshake')
      peer.end()
      return peer.port
    },
  },
  {
    what: 'FIN in the middle of a TLS handshake',
    reason: 'peer-ended',
    setting: 'plain',
    phase: 'tls-handshake',
    only: 'https',
    async run(world) {
      const peer = await connectTcp(world.scope, world.port)
      // The head of a ClientHello.
      peer.write(Buffer.from([22, 3, 1, 2, 0, 1]))
      await until(() => (find(world, peer.port)?.bytesRead ?? 0) > 0, 'the half of a ClientHello')
      peer.end()
      return peer.port
    },
  },
  {
    what: 'FIN without a close frame',
    reason: 'peer-ended',
    setting: 'plain',
    phase: 'established',
    async run(world) {
      const peer = await rawWebSocket(world)
      peer.write(clientFrame(opcodes.text, 'hello'))
      peer.end()
      return peer.port
    },
  },
  // Over plain TCP nobody reads meanwhile, so the FIN is not heard, and the handshake's deadline ends it.
  ...(['http', 'https'] as const).map(
    (only): Scenario => ({
      what: 'FIN while the upgrade waits',
      reason: only === 'https' ? 'peer-ended' : 'handshake-timeout',
      setting: only === 'https' ? 'plain' : 'handshake',
      only,
      phase: 'upgrade',
      async run(world) {
        const peer = await raw(world)
        peer.write(upgradeRequest('/upgrade-hangs'))
        await untilPhase(world, peer.port, 'upgrade')
        peer.end()
        return peer.port
      },
    }),
  ),
  {
    what: 'FIN in the middle of a request head',
    reason: 'peer-ended',
    setting: 'plain',
    phase: 'awaiting-request',
    async run(world) {
      const peer = await raw(world)
      peer.write('GET / HTTP/1.1\r\nHost: local')
      peer.end()
      return peer.port
    },
  },
  {
    what: 'FIN in the middle of a second request head',
    reason: 'peer-ended',
    setting: 'plain',
    async run(world) {
      const peer = await raw(world)
      await requestRaw(peer)
      peer.write('GET / HTTP/1.1\r\nHost: local')
      peer.end()
      return peer.port
    },
  },
  {
    what: 'FIN in the middle of a request body',
    reason: 'peer-ended',
    setting: 'plain',
    phase: 'request',
    async run(world) {
      const peer = await raw(world)
      peer.write(`${request('/hang', { 'Content-Length': '100' }, 'POST')}half of it`)
      await untilPhase(world, peer.port, 'request')
      peer.end()
      return peer.port
    },
  },
  {
    what: 'FIN in the middle of a response',
    reason: 'peer-ended',
    setting: 'plain',
    phase: 'request',
    async run(world) {
      const peer = await raw(world)
      peer.write(request('/half'))
      await peer.expect('half of it')
      peer.end()
      return peer.port
    },
  },
  {
    what: 'reset of a WebSocket',
    reason: 'peer-reset',
    setting: 'plain',
    phase: 'established',
    async run(world) {
      const peer = await rawWebSocket(world)
      peer.reset()
      return peer.port
    },
  },
  {
    what: 'reset of a WebSocket after a message',
    reason: 'peer-reset',
    setting: 'plain',
    async run(world) {
      const peer = await rawWebSocket(world, '/echo')
      peer.write(clientFrame(opcodes.text, 'hello'))
      // Bytes and a reset that are read in one turn of the loop look like a FIN: libuv does not read on.
      await peer.expect('hello')
      peer.reset()
      return peer.port
    },
  },
  {
    what: 'reset while the upgrade waits',
    reason: 'peer-reset',
    setting: 'plain',
    phase: 'upgrade',
    async run(world) {
      const peer = await raw(world)
      peer.write(upgradeRequest('/upgrade-hangs'))
      await untilPhase(world, peer.port, 'upgrade')
      peer.reset()
      return peer.port
    },
  },
  {
    what: 'reset between requests',
    reason: 'peer-reset',
    setting: 'plain',
    phase: 'keep-alive',
    async run(world) {
      const peer = await raw(world)
      await requestRaw(peer)
      peer.reset()
      return peer.port
    },
  },
  {
    what: 'reset in the middle of a request head',
    reason: 'peer-reset',
    setting: 'plain',
    phase: 'awaiting-request',
    async run(world) {
      const peer = await raw(world)
      peer.write('GET / HTTP/1.1\r\nHost: local')
      await untilPhase(world, peer.port, 'awaiting-request')
      await until(() => (find(world, peer.port)?.bytesRead ?? 0) > 0, 'the half of a request')
      peer.reset()
      return peer.port
    },
  },
  {
    what: 'reset in the middle of a response',
    reason: 'peer-reset',
    setting: 'plain',
    phase: 'request',
    async run(world) {
      const peer = await raw(world)
      peer.write(request('/half'))
      await peer.expect('half of it')
      peer.reset()
      return peer.port
    },
  },
  {
    what: 'reset in the middle of a large response',
    reason: 'peer-reset',
    setting: 'plain',
    phase: 'request',
    async run(world) {
      const peer = await raw(world)
      peer.write(request('/large'))
      await peer.expect('\r\n\r\n')
      peer.pause()
      peer.reset()
      return peer.port
    },
  },
  {
    what: 'reset in the middle of the TLS handshake',
    reason: 'peer-reset',
    setting: 'plain',
    phase: 'tls-handshake',
    only: 'https',
    async run(world) {
      const peer = await connectTcp(world.scope, world.port)
      await untilPhase(world, peer.port, 'tls-handshake')
      peer.reset()
      return peer.port
    },
  },
  // It is silent, or too slow.
  {
    what: 'a WebSocket client that does not answer',
    reason: 'half-open',
    setting: 'heartbeat',
    phase: 'established',
    async run(world) {
      const peer = await rawWebSocket(world)
      peer.pause()
      return peer.port
    },
  },
  {
    what: 'a WebSocket without traffic',
    reason: 'idle-timeout',
    setting: 'plain',
    async run(world) {
      const peer = await goodWebSocket(world, '/idle')
      assert.equal((await peer.closed).code, 1001)
      return peer.port
    },
  },
  {
    what: "Node's keep-alive timer",
    reason: 'idle-timeout',
    setting: 'keep-alive',
    phase: 'keep-alive',
    async run(world) {
      const peer = await raw(world)
      await requestRaw(peer)
      await peer.gone()
      return peer.port
    },
  },
  {
    what: 'a WebSocket at its maximum age',
    reason: 'lifetime',
    setting: 'lifetime',
    async run(world) {
      const peer = await goodWebSocket(world)
      assert.equal((await peer.closed).code, 1001)
      return peer.port
    },
  },
  {
    what: 'a pooled connection at its maximum age',
    reason: 'lifetime',
    setting: 'lifetime',
    async run(world) {
      const peer = await raw(world)
      while (!/connection: close/i.test(await requestRaw(peer))) await pause(50)
      await peer.gone()
      return peer.port
    },
  },
  {
    what: 'a WebSocket client that does not read',
    reason: 'slow-consumer',
    setting: 'budget',
    async run(world) {
      const peer = await rawWebSocket(world, '/flood')
      peer.pause()
      return peer.port
    },
  },
  {
    what: 'a response that is not read',
    reason: 'slow-consumer',
    setting: 'budget',
    phase: 'request',
    async run(world) {
      const peer = await raw(world)
      peer.write(request('/flood'))
      peer.pause()
      return peer.port
    },
  },
  // It is refused.
  {
    what: 'an upgrade under pressure',
    reason: 'shed',
    setting: 'pressure',
    async run(world) {
      const peer = await raw(world)
      peer.write(upgradeRequest())
      assert.match(await readResponse(peer), /^HTTP\/1\.1 503 [\s\S]*retry-after: \d/i)
      peer.end()
      return peer.port
    },
  },
  {
    // Without a body its connection would live on.
    what: 'a request with a body under pressure',
    reason: 'shed',
    setting: 'pressure',
    async run(world) {
      const peer = await raw(world)
      assert.match(
        await requestRaw(peer, '/', { 'Content-Length': '9' }),
        /^HTTP\/1\.1 503 [\s\S]*retry-after: \d/i,
      )
      await peer.gone()
      return peer.port
    },
  },
  ...(['all-limit', 'peer-limit'] as const).flatMap((setting): Scenario[] => [
    {
      what: `an upgrade above the ${setting}`,
      reason: 'limit',
      setting,
      alone: true,
      async run(world) {
        const peer = await raw(world)
        peer.write(upgradeRequest())
        assert.match(
          await readResponse(peer),
          setting === 'all-limit' ? /^HTTP\/1\.1 503 / : /^HTTP\/1\.1 429 /,
        )
        await peer.gone()
        return peer.port
      },
    },
    {
      what: `a request above the ${setting}`,
      reason: 'limit',
      setting,
      alone: true,
      async run(world) {
        const peer = await raw(world)
        assert.match(
          await requestRaw(peer),
          setting === 'all-limit' ? /^HTTP\/1\.1 503 / : /^HTTP\/1\.1 429 /,
        )
        await peer.gone()
        return peer.port
      },
    },
  ]),
  // A handshake that is never completed.
  {
    what: 'an upgrade that the app never completes',
    reason: 'handshake-timeout',
    setting: 'handshake',
    phase: 'upgrade',
    run: afterUpgrade('/upgrade-hangs'),
  },
  {
    what: 'a connection without a request',
    reason: 'handshake-timeout',
    setting: 'handshake',
    phase: 'awaiting-request',
    run: async (world) => (await raw(world)).port,
  },
  {
    what: 'half a request head',
    reason: 'handshake-timeout',
    setting: 'handshake',
    async run(world) {
      const peer = await raw(world)
      peer.write('GET / HTTP/1.1\r\nHost: local')
      return peer.port
    },
  },
  {
    what: 'a TLS handshake that never begins',
    reason: 'handshake-timeout',
    setting: 'handshake',
    phase: 'tls-handshake',
    only: 'https',
    run: async ({ scope, port }) => (await connectTcp(scope, port)).port,
  },
  // The peer does what it must not.
  ...Object.entries(badFrames).map(
    ([what, frame]): Scenario => ({
      what: `a bad frame (${what})`,
      reason: 'protocol-error',
      setting: 'plain',
      async run(world) {
        const peer = await rawWebSocket(world)
        peer.write(frame)
        return peer.port
      },
    }),
  ),
  {
    what: 'a request that is none',
    reason: 'protocol-error',
    setting: 'plain',
    async run(world) {
      const peer = await raw(world)
      peer.write('what is this\r\n\r\n')
      assert.match(await readResponse(peer), /^HTTP\/1\.1 400 /)
      return peer.port
    },
  },
  {
    what: 'a second request that is none',
    reason: 'protocol-error',
    setting: 'plain',
    async run(world) {
      const peer = await raw(world)
      await requestRaw(peer)
      peer.write('what is this\r\n\r\n')
      return peer.port
    },
  },
  {
    what: 'plain HTTP to an https server',
    reason: 'protocol-error',
    setting: 'plain',
    phase: 'tls-handshake',
    only: 'https',
    async run({ scope, port }) {
      const peer = await connectTcp(scope, port)
      peer.write(request())
      return peer.port
    },
  },
  // The app ends it.
  {
    what: 'the app closes a WebSocket',
    reason: 'server-closed',
    setting: 'plain',
    async run(world) {
      const peer = await goodWebSocket(world, '/close')
      assert.equal((await peer.closed).code, 1000)
      return peer.port
    },
  },
  {
    what: 'the app closes a WebSocket whose peer answers with a FIN alone',
    reason: 'server-closed',
    setting: 'plain',
    async run(world) {
      const peer = await rawWebSocket(world, '/close')
      await peer.expect('done')
      peer.end()
      return peer.port
    },
  },
  {
    what: 'the app closes a WebSocket whose peer answers with a reset',
    reason: 'server-closed',
    setting: 'plain',
    async run(world) {
      const peer = await rawWebSocket(world, '/close')
      await peer.expect('done')
      peer.reset()
      return peer.port
    },
  },
  {
    what: 'the app terminates a WebSocket',
    reason: 'server-closed',
    setting: 'plain',
    run: afterUpgrade('/terminate'),
  },
  {
    what: 'the app destroys the socket of a WebSocket',
    reason: 'server-closed',
    setting: 'plain',
    run: afterUpgrade('/destroy'),
  },
  {
    what: 'the app ends the socket of a WebSocket',
    reason: 'server-closed',
    setting: 'plain',
    async run(world) {
      const peer = await raw(world)
      peer.write(upgradeRequest('/end'))
      await until(() => peer.ended || peer.closed, "the app's FIN")
      peer.end()
      return peer.port
    },
  },
  {
    what: 'the app refuses an upgrade',
    reason: 'server-closed',
    setting: 'plain',
    async run(world) {
      const peer = await raw(world)
      peer.write(upgradeRequest('/upgrade-refused'))
      await peer.expect('401')
      peer.end()
      return peer.port
    },
  },
  {
    what: "the app's Connection: close",
    reason: 'server-closed',
    setting: 'plain',
    async run(world) {
      const peer = await raw(world)
      await requestRaw(peer, '/last')
      await peer.gone()
      return peer.port
    },
  },
  {
    what: 'the app destroys the socket of a request',
    reason: 'server-closed',
    setting: 'plain',
    phase: 'request',
    run: afterRequest('/destroy'),
  },
  {
    what: 'the app ends the socket of a request',
    reason: 'server-closed',
    setting: 'plain',
    async run(world) {
      const peer = await raw(world)
      peer.write(request('/end'))
      await until(() => peer.ended || peer.closed, "the app's FIN")
      peer.end()
      return peer.port
    },
  },
  {
    what: 'the app fails a WebSocket',
    reason: 'server-error',
    setting: 'plain',
    run: afterUpgrade('/fail'),
  },
  {
    what: 'the app fails an upgrade',
    reason: 'server-error',
    setting: 'plain',
    run: afterUpgrade('/upgrade-fails'),
  },
  {
    what: 'the app fails the socket of a request',
    reason: 'server-error',
    setting: 'plain',
    phase: 'request',
    run: afterRequest('/fail'),
  },
  {
    what: 'the app fails a response',
    reason: 'server-error',
    setting: 'plain',
    run: afterRequest('/fail-response'),
  },
]

const find = ({ pulse }: World, port: number) => [...pulse.connections()].find((c) => c.remotePort === port)

async function untilPhase(world: World, port: number, phase: string): Promise<void> {
  await until(() => find(world, port)?.phase === phase, `phase ${phase}`)
}

/** Runs one scenario and says what was wrong, if anything was. */
async function judge({ what, reason, phase, run }: Scenario, world: World): Promise<string | undefined> {
  const label = `${what} (${world.name})`
  try {
    const port = await run(world)
    world.ports.push(port)
    const connection = await world.closes.wait(port, `the close after: ${label}`)
    const { closeReason, state, evidence } = connection
    const asExpected = closeReason === reason && state === 'closed' && evidence !== undefined
    if (asExpected && (phase ?? evidence.phase) === evidence.phase) return undefined
    const expected = `${reason} in phase ${phase ?? 'any'}`
    return `${label}: expected ${expected}, got ${closeReason} (${state}, ${JSON.stringify(evidence)})`
  } catch (error) {
    return `${label}: ${error instanceof Error ? error.message : String(error)}`
  }
}

/** WebSockets, a pooled connection and a slow request, all ended by one drain. */
async function judgeDrain(world: World): Promise<(string | undefined)[]> {
  const webSocket = await goodWebSocket(world)
  const pooled = await raw(world)
  await requestRaw(pooled)
  const late = await raw(world)
  await requestRaw(late)
  const slow = await raw(world)
  slow.write(request('/slow'))
  await untilPhase(world, slow.port, 'request')
  const report = world.pulse.drain('test')
  assert.match(await requestRaw(pooled), /connection: close/i)
  assert.match(await readResponse(slow), /^HTTP\/1\.1 200 [\s\S]*slow$/)
  assert.equal((await webSocket.closed).code, 1012)
  assert.equal((await report).deadlineExceeded, false)
  const peers = { webSocket, pooled, late, slow }
  return Promise.all(
    Object.entries(peers).map(([what, { port }]) =>
      judge({ what: `drain: ${what}`, reason: 'drain', setting: 'drain', run: async () => port }, world),
    ),
  )
}

test('every way to end has its reason, http and https, mixed at random', { timeout: 120_000 }, async (t) => {
  const random = new Random()
  t.diagnostic(`seed ${random.seed}`)
  const worlds: World[] = []
  const runs: Promise<string | undefined>[] = []
  const drains: Promise<(string | undefined)[]>[] = []
  for (const secure of [false, true]) {
    for (const setting of Object.keys(settings) as Setting[]) {
      const world = await createWorld(t, setting, secure)
      worlds.push(world)
      if (setting === 'drain') drains.push(judgeDrain(world))
      const here = scenarios.filter((s) => s.setting === setting && s.only !== (secure ? 'http' : 'https'))
      const all = random.shuffle(Array.from({ length: repeats }, () => here).flat())
      let before = Promise.resolve<string | undefined>(undefined)
      for (const scenario of all) {
        const startAfterMs = random.next() * startsMs
        const begin = scenario.alone ? before : pause(startAfterMs)
        const run = begin.then(() => judge(scenario, world))
        if (scenario.alone) before = run
        runs.push(run)
      }
    }
  }
  const wrong = [...(await Promise.all(runs)), ...(await Promise.all(drains)).flat()].filter(
    (problem) => problem !== undefined,
  )
  t.diagnostic(`${runs.length} connections`)
  assert.deepEqual([...new Set(wrong)].sort(), [])

  for (const { name, pulse, server, closes, ports } of worlds) {
    const held = name.includes('-limit') ? heldPeers : 0
    assert.equal(pulse.snapshot().connections.open, held, name)
    assert.equal(closes.all.length, ports.length, `one close a connection: ${name}`)
    for (const port of ports) assert.equal(closes.of(port).length, 1, name)
    server.closeAllConnections()
    await until(() => pulse.snapshot().connections.open === 0, `the last to close: ${name}`)
    const { connections, totals } = pulse.snapshot()
    assert.equal(connections.peers, 0, name)
    assert.equal(connections.bufferedBytes, 0, name)
    assert.deepEqual(totals.leaks, {}, name)
    assert.equal(totals.callbackErrors, 0, name)
    const closedInAll = Object.values(totals.closed).reduce((sum, count) => sum + count, 0)
    assert.equal(closedInAll, totals.opened, name)

    await pulse.detach()
    assert.equal(Object.hasOwn(server, 'emit'), false, name)
  }
})
