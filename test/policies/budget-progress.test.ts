import assert from 'node:assert/strict'
import type { Socket } from 'node:net'
import { type TestContext, test } from 'node:test'
import type { WebSocket } from 'ws'
import type { PeerConnection } from '../../lib/core/connection.js'
import type { Backlog } from '../../lib/core/connection-extras.js'
import { Progress } from '../../lib/policies/progress.js'
import { deafen } from '../scenarios/support.js'
import { turn, until } from '../support/wait.js'
import { openWebSocket, start } from './support.js'

const KiB = 1024
const MiB = 1024 * KiB
/** The default. */
const stalledMs = 2_000
const isLinux = process.platform === 'linux'

/** A WebSocket that does not read, with 4 MiB that wait for it beyond what the kernel took. */
async function startCongested(t: TestContext) {
  const { pulse, wss, port, closed } = await start(t, { heartbeat: false, pressure: false })
  const client = await openWebSocket(t, port)
  const received: number[] = []
  client.on('message', (data) => received.push((data as Buffer).readUInt32BE(0)))
  deafen(client)
  const [peer] = wss.clients
  const [connection] = [...pulse.connections()] as PeerConnection[]
  assert.ok(peer && connection)
  let sent = 0
  while (peer.bufferedAmount < 4 * MiB) {
    const message = Buffer.alloc(64 * KiB)
    message.writeUInt32BE(sent++)
    peer.send(message)
  }
  assert.ok(connection.congested)
  return { client, connection, received, sent, closed }
}

/** Reads a chunk of 64 KiB at a time, so that it comes to about so many bytes a second, until it is stopped. */
function trickle(t: TestContext, client: WebSocket, bytesPerSecond: number): () => void {
  const { _socket: socket } = client as unknown as { _socket: Socket }
  const from = socket.bytesRead
  const since = performance.now()
  const wait = () => void socket.pause()
  socket.on('data', wait)
  const timer = setInterval(() => {
    if (socket.bytesRead - from < ((performance.now() - since) / 1_000) * bytesPerSecond) socket.resume()
  }, 10)
  t.after(() => clearInterval(timer))
  return () => {
    clearInterval(timer)
    socket.removeListener('data', wait)
    socket.resume()
  }
}

test('a slow reader lives while the kernel tells that it reads, though nothing more is taken from us', {
  skip: !isLinux,
}, async (t) => {
  const { client, connection, received, sent, closed } = await startCongested(t)
  const { clock } = connection.host
  const stop = trickle(t, client, 400_000)
  let drained = connection.transport.drainedBytes(connection)
  let since = clock.now
  let longestMs = 0
  const seconds = 12
  const from = clock.now
  await until(() => {
    const drainedNow = connection.transport.drainedBytes(connection)
    if (drainedNow > drained) {
      drained = drainedNow
      since = clock.now
    }
    longestMs = Math.max(longestMs, clock.now - since)
    // Beyond what would be allowed by the handle alone, or long enough where the kernel takes smaller steps.
    return longestMs > stalledMs + 1_500 || clock.now - from > seconds * 1_000 || closed.length > 0
  }, 'the handle to stand still')
  t.diagnostic(`the handle stood still for ${longestMs} ms`)
  assert.deepEqual(closed, [])
  stop()
  await until(() => received.length === sent, 'all messages')
  assert.deepEqual(
    received,
    Array.from({ length: sent }, (_, i) => i),
  )
})

test('who has stopped is evicted once stalledMs has passed, and a reading', async (t) => {
  const { connection, closed } = await startCongested(t)
  const { clock } = connection.host
  const since = clock.now
  await until(() => connection.state === 'closing', 'the eviction')
  const tookMs = clock.now - since
  t.diagnostic(`evicted after ${tookMs} ms`)
  assert.ok(tookMs >= stalledMs && tookMs <= stalledMs + 1_200, `${tookMs}`)
  await until(() => closed.length === 1, 'the close')
  assert.equal(connection.closeReason, 'slow-consumer')
})

/** A connection that the socket has taken nothing from since time 0. */
function standingStill() {
  const backlog: Backlog = { progressAt: 0, drained: 0 }
  const connection = {
    index: 0,
    state: 'open',
    extras: { backlog },
    transport: { drainedBytes: () => 0 },
    host: { clock: { now: 0 }, failed: (error: unknown) => assert.ifError(error) },
  } as unknown as PeerConnection
  return { backlog, connection }
}

/** When each of these answers of the kernel's has it evicted, in ms; `undefined`: not within 10 s. */
async function evictedAt(
  answers: (number | undefined)[] | 'none' | 'throws' | 'never',
): Promise<number | undefined> {
  const { backlog, connection } = standingStill()
  let at: number | undefined
  let readings = 0
  const read = async () => {
    readings++
    if (answers === 'throws') throw new Error('EMFILE')
    if (answers === 'never') return new Promise<never>(() => {})
    return new Map([[connection, (answers as (number | undefined)[])[readings - 1] ?? undefined]])
  }
  const { clock } = connection.host as { clock: { now: number } }
  const progress = new Progress(stalledMs, answers === 'none' ? undefined : read, () => {
    at ??= clock.now
  })
  for (; clock.now <= 10_000 && at === undefined; clock.now += 100) {
    progress.look(connection, backlog, clock.now)
    progress.tick(clock.now)
    await turn()
  }
  return at
}

test('a queue that falls is progress; one that stays, or is not known, is none', async () => {
  assert.equal(await evictedAt([9, 8, 7, 6, 5, 4, 3, 2, 1, 1, 1, 1, 1, 1, 1, 1]), undefined)
  assert.equal(await evictedAt([9, 9, 9, 9]), stalledMs)
  assert.equal(await evictedAt([9, 10, 11, 12]), stalledMs)
  // The second reading showed progress, 500 ms after the first at half the time.
  assert.equal(await evictedAt([9, 8, 8, 8, 8, 8]), 1_500 + stalledMs)
  assert.equal(await evictedAt('none'), stalledMs)
  assert.equal(await evictedAt([undefined]), stalledMs)
  assert.equal(await evictedAt('throws'), stalledMs)
  assert.equal(await evictedAt('never'), stalledMs + 1_000)
})
