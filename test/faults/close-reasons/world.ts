/** The servers on which connections end in every way, and how the end of one is judged. */
import assert from 'node:assert/strict'
import type { IncomingMessage, Server, ServerResponse } from 'node:http'
import type { Duplex } from 'node:stream'
import {
  type CloseReason,
  type ConnectionPhase,
  type Peerpulse,
  type PeerpulseOptions,
  peerpulse,
} from 'peerpulse'
import { type WebSocket, WebSocketServer } from 'ws'
import { request, upgradeRequest } from '../../support/frames.js'
import { connectRaw, requestRaw, upgradeRaw } from '../../support/raw-peer.js'
import { type Scope, startServer } from '../../support/servers.js'
import { until } from '../../support/wait.js'
import { Closes } from '../../support/watched.js'
import { openWebSocket } from '../../support/web-socket.js'

const MiB = 1024 * 1024
/** One pulse and its server, configured so that some of the reasons come quickly. */
export interface World {
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

export const settings = {
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

export type Setting = keyof typeof settings

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

export async function createWorld(scope: Scope, setting: Setting, secure: boolean): Promise<World> {
  const options: PeerpulseOptions = settings[setting]
  const pulse = peerpulse({ drain: false, pressure: false, probes: false, ...options })
  const wss = new WebSocketServer({ noServer: true })
  wss.on('connection', (webSocket, req) => webSocketApp(pulse, webSocket, req))
  const { server, port } = await startServer(scope, app, {
    secure,
    prepare(server) {
      server.on('upgrade', (req, socket, head) => upgradeApp(wss, req, socket, head))
      if (setting === 'keep-alive') server.keepAliveTimeout = 300
      // For the peers that hold the places.
      if (setting.endsWith('-limit')) server.keepAliveTimeout = 0
      pulse.attach(server, wss)
    },
  })
  scope.after(() => pulse.detach())
  const world: World = {
    scope,
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
export interface Scenario {
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

export const raw = ({ scope, port, secure }: World) => connectRaw(scope, port, secure)
export const rawWebSocket = ({ scope, port, secure }: World, path = '/') =>
  upgradeRaw(scope, port, { secure, path })
export const goodWebSocket = ({ scope, port, secure }: World, path = '/') =>
  openWebSocket(scope, port, { secure, path })

/** A request whose connection then ends without more of the peer's doing. */
export const afterRequest = (path: string) => async (world: World) => {
  const peer = await raw(world)
  peer.write(request(path))
  return peer.port
}

/** An upgrade whose connection then ends without more of the peer's doing. */
export const afterUpgrade = (path: string) => async (world: World) => {
  const peer = await raw(world)
  peer.write(upgradeRequest(path))
  return peer.port
}

export const find = ({ pulse }: World, port: number) =>
  [...pulse.connections()].find((c) => c.remotePort === port)

export async function untilPhase(world: World, port: number, phase: string): Promise<void> {
  await until(() => find(world, port)?.phase === phase, `phase ${phase}`)
}

/** Runs one scenario and says what was wrong, if anything was. */
export async function judge(
  { what, reason, phase, run }: Scenario,
  world: World,
): Promise<string | undefined> {
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

/** Whether all that was counted goes away, and adds up, once the last peer is gone. The world is over then. */
export async function settle({ name, pulse, server, closes, ports }: World): Promise<void> {
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
