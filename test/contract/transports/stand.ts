import assert from 'node:assert/strict'
import type { EventEmitter } from 'node:events'
import type { Socket } from 'node:net'
import {
  type CloseReason,
  type Connection,
  ConnectionClosedError,
  type Peerpulse,
  type PeerpulseOptions,
  peerpulse,
} from 'peerpulse'
import { connectRaw, type RawPeer } from '../../support/raw-peer.js'
import { type Scope, startServer } from '../../support/servers.js'
import { turn, until } from '../../support/wait.js'
import { Closes } from '../../support/watched.js'
import type { Side, TransportAdapter } from './adapter.js'

export const drain = {
  signals: [] as NodeJS.Signals[],
  readinessDelayMs: 0,
  spreadMs: 0,
  // An end that is not in order comes late, and with a reset or without its words.
  closeTimeoutMs: 10_000,
  deadlineMs: 15_000,
}

/** One connection of a transport: its peer, the app's side of it, and the accepted socket. */
export interface Pair {
  readonly peer: RawPeer
  readonly side: Side
  readonly sockets: readonly Socket[]
}

/** The same, watched. */
export interface Watched extends Pair {
  readonly pulse: Peerpulse
  readonly connection: Connection
  readonly opened: readonly Connection[]
  /** Waits for the close, and sees that it was the only one, for this reason, and told everybody who asked. */
  closed(reason: CloseReason): Promise<void>
}

/** One connection, on a server that `attach` has had in its hands before it listened. */
export async function openPair(
  scope: Scope,
  adapter: TransportAdapter,
  secure: boolean,
  pulse?: Peerpulse,
): Promise<Pair> {
  const sides = new Map<number | undefined, Side>()
  const { port, sockets } = await startServer(scope, undefined, {
    secure,
    prepare(server) {
      const wss = adapter.serve(server, (peerPort, side) => sides.set(peerPort, side))
      pulse?.attach(server, ...(wss ? [wss] : []))
    },
  })
  const peer = await connectRaw(scope, port, secure)
  await adapter.open(peer)
  const side = await until(() => sides.get(peer.port), "the app's side")
  return { peer, side, sockets: [...sockets] }
}

/** One connection that a pulse watches. */
export async function openWatched(
  scope: Scope,
  adapter: TransportAdapter,
  secure: boolean,
  options: PeerpulseOptions = {},
): Promise<Watched> {
  const pulse = peerpulse({ drain, pressure: false, probes: false, ...options })
  scope.after(() => pulse.detach())
  const opened: Connection[] = []
  pulse.on('connection:open', (connection) => opened.push(connection))
  const closes = new Closes(pulse)
  const pair = await openPair(scope, adapter, secure, pulse)
  const { port } = pair.peer
  const connection = await until(
    () => [...pulse.connections()].find(({ remotePort }) => remotePort === port),
    'the connection',
  )
  await until(() => connection.protocol === adapter.protocol, `protocol ${adapter.protocol}`)
  await until(() => connection.phase === adapter.phase, `phase ${adapter.phase}`)
  const ends = watchEnd(connection)
  async function closed(reason: CloseReason): Promise<void> {
    await closes.wait(port)
    await turn()
    assert.equal(closes.all.length, 1)
    const { state, closeReason, evidence, protocol } = connection
    assert.deepEqual([state, closeReason, protocol], ['closed', reason, adapter.protocol])
    assert.ok(evidence)
    assert.deepEqual(ends, { cleanups: [reason], disposed: 0, aborts: [reason] })
    const { connections, totals } = pulse.snapshot()
    assert.equal(connections.open, 0)
    assert.deepEqual(totals.closed, { [reason]: 1 })
    assert.deepEqual([totals.opened, totals.callbackErrors, totals.leaks], [1, 0, {}])
  }
  return { ...pair, pulse, connection, opened, closed }
}

/** Everybody who can ask to be told of the end of a connection. */
function watchEnd(connection: Connection) {
  const ends = { cleanups: [] as unknown[], disposed: 0, aborts: [] as unknown[] }
  connection.track('stream', (reason) => ends.cleanups.push(reason))
  connection.track('over before', () => ends.disposed++).dispose()
  const { signal } = connection
  assert.equal(signal.aborted, false)
  signal.addEventListener('abort', () => {
    assert.ok(signal.reason instanceof ConnectionClosedError)
    ends.aborts.push(signal.reason.closeReason)
  })
  return ends
}

/** What can be seen of an emitter: its own properties, and how many listen. */
function traces(emitter: EventEmitter): Record<string, unknown> {
  const listeners = emitter.eventNames().map((event) => `${String(event)}: ${emitter.listenerCount(event)}`)
  // Node notes what it was asked for with setKeepAlive, from Node 26 on in further properties of its own.
  const own = Reflect.ownKeys(emitter)
    .map(String)
    .filter((key) => !key.startsWith('Symbol(kSetKeepAlive'))
  return { own: own.sort(), listeners: listeners.sort() }
}

/** What can be seen of the server's side of a connection. */
export function tracesOf({ side, sockets }: Pair): unknown[] {
  // Node keeps the peer's address with the socket once somebody has asked for it.
  for (const { remoteAddress } of sockets) assert.equal(remoteAddress, '127.0.0.1')
  return [...side.carriers, ...sockets].map(traces)
}

/** The peer's data reaches the app, and the app's the peer, as far as the transport has such a thing. */
export async function exchange(adapter: TransportAdapter, { peer, side }: Pair): Promise<void> {
  if (adapter.speak) {
    const before = side.heard()
    adapter.speak(peer)
    await until(() => side.heard() > before, "the peer's data")
    if (!adapter.pushes) await peer.expect('ok')
  }
  if (adapter.pushes) {
    side.write('news')
    await peer.expect('news')
  }
}
