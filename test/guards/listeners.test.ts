import assert from 'node:assert/strict'
import type { EventEmitter } from 'node:events'
import type { Socket } from 'node:net'
import { type TestContext, test } from 'node:test'
import { type Peerpulse, peerpulse } from 'peerpulse'
import { WebSocketServer } from 'ws'
import { connectRaw, requestRaw } from '../support/raw-peer.js'
import { startServer } from '../support/servers.js'
import { openPeers, socketOf, webSocketsOpen } from './support.js'

type Listeners = ReadonlyMap<string, readonly unknown[]>

function listenersOf(emitter: EventEmitter): Listeners {
  return new Map(emitter.eventNames().map((event) => [String(event), emitter.rawListeners(event)]))
}

function countsOf(emitter: EventEmitter): Map<string, number> {
  return new Map([...listenersOf(emitter)].map(([event, listeners]) => [event, listeners.length]))
}

/** How many more listeners there are than without a pulse, by event. */
function added(watched: EventEmitter, bare: EventEmitter): Record<string, number> {
  const before = countsOf(bare)
  const more = [...countsOf(watched)].map(
    ([event, count]) => [event, count - (before.get(event) ?? 0)] as const,
  )
  return Object.fromEntries(more.filter(([, count]) => count !== 0).sort())
}

/** Two idle connections of each kind, on the server's side. */
async function connectTwo(t: TestContext, pulse?: Peerpulse) {
  const https: Socket[] = []
  const exchanges: Map<string, number>[] = []
  const { server, port } = await startServer(t, (req, res) => {
    https.push(req.socket)
    exchanges.push(countsOf(req), countsOf(res))
    res.end('hello')
  })
  const wss = new WebSocketServer({ server })
  pulse?.attach(server, wss)
  for (let i = 0; i < 2; i++) await requestRaw(await connectRaw(t, port))
  await openPeers(t, port, 2)
  await webSocketsOpen(wss, 2)
  const webSockets = [...wss.clients]
  return { 'http socket': https, 'raw socket': webSockets.map(socketOf), WebSocket: webSockets, exchanges }
}

test('a connection has few listeners of ours, and shares them all with the others', async (t) => {
  const pulse = peerpulse({
    drain: false,
    lifetime: { maxAgeMs: 60_000 },
    idle: { websocketMs: 60_000, inboundMs: 60_000 },
  })
  t.after(() => pulse.detach())
  const bare = await connectTwo(t)
  const watched = await connectTwo(t, pulse)
  const few = {
    'http socket': { close: 1, end: 1, error: 1 },
    'raw socket': { close: 1, data: 1, finish: 1 },
    WebSocket: { error: 1 },
  }
  const kinds = Object.keys(few) as (keyof typeof few)[]
  const before = kinds.map((kind) => watched[kind].map(listenersOf))
  for (const kind of kinds) {
    for (const i of [0, 1])
      assert.deepEqual(
        added(watched[kind][i] as EventEmitter, bare[kind][i] as EventEmitter),
        few[kind],
        kind,
      )
  }
  assert.deepEqual(watched.exchanges, bare.exchanges, 'a request and its response have none')

  await pulse.detach()
  for (const [k, kind] of kinds.entries()) {
    // What detach took off was ours.
    const [first, second] = watched[kind].map((emitter, i) => {
      const left = listenersOf(emitter)
      const ours = [...(before[k]?.[i] ?? [])].map(
        ([event, listeners]) =>
          [event, listeners.filter((listener) => !left.get(event)?.includes(listener))] as const,
      )
      return new Map(ours.filter(([, listeners]) => listeners.length > 0))
    }) as Listeners[] as [Listeners, Listeners]
    assert.deepEqual([...first.keys()].sort(), Object.keys(few[kind]), kind)
    for (const [event, [listener]] of first)
      assert.equal(second.get(event)?.[0], listener, `'${event}' of a ${kind}`)
  }
})
