import assert from 'node:assert/strict'
import type { ServerResponse } from 'node:http'
import { test } from 'node:test'
import type { PeerConnection } from '../../lib/core/connection.js'
import { peerpulse } from '../../lib/index.js'
import { request } from '../support/frames.js'
import { connectRaw } from '../support/raw-peer.js'
import { startServer } from '../support/servers.js'
import { until } from '../support/wait.js'
import { tellTime } from './told-time.js'

test('what a pipelined request costs is bounded, however many wait before it', async (t) => {
  tellTime(t)
  const pulse = peerpulse({ drain: false })
  t.after(() => pulse.detach())
  let steps = 0
  /** Every read and write of the queue's elements and of its length is a step. */
  const counted = new Proxy([] as ServerResponse[], {
    get(queue, key) {
      steps++
      return Reflect.get(queue, key)
    },
    set(queue, key, value) {
      steps++
      return Reflect.set(queue, key, value)
    },
  })
  const stepsUntil: number[] = []
  const { server, port } = await startServer(t, (req) => {
    const { exchange } = pulse.connectionOf(req) as PeerConnection
    if (exchange !== undefined && stepsUntil.length === 0) exchange.queuedResponses = counted
    stepsUntil.push(steps)
  })
  pulse.attach(server)
  const peer = await connectRaw(t, port)
  peer.write(request().repeat(2_000))
  await until(() => stepsUntil.length === 64, 'those that run')
  assert.equal(counted.length, 63, 'all but the first wait')
  const costs = stepsUntil.map((until, i) => until - (stepsUntil[i - 1] ?? 0))
  t.diagnostic(`${Math.max(...costs)} steps at most, ${steps} in all`)
  assert.ok(steps > 0, 'the queue is what is counted')
  // What waits is added up, and few wait; those that do not run are not even looked at.
  assert.ok(Math.max(...costs) <= 4 * 64, `${Math.max(...costs)} steps`)
  assert.ok(steps <= 4 * 64 * 64, `${steps} steps for 2,000 requests`)
})

test('a look costs the same, however many requests were pipelined, and sees what their responses hold', async (t) => {
  const time = tellTime(t)
  const pulse = peerpulse({ drain: false })
  t.after(() => pulse.detach())
  const responses: ServerResponse[] = []
  const { server, port } = await startServer(t, (_, res) => void responses.push(res))
  pulse.attach(server)
  const found: { looked: number; written: number }[] = []
  for (const count of [100, 2_000]) {
    responses.length = 0
    const peer = await connectRaw(t, port)
    peer.write(request().repeat(count))
    await until(() => responses.length === 64, 'those that run')
    const connection = pulse.connectionOf(responses[0]?.req as object) as PeerConnection
    const { exchange } = connection
    assert.ok(exchange?.queuedResponses)
    for (const response of responses.slice(1)) response.write(Buffer.alloc(1_000))
    const held = exchange.queuedResponses.reduce((sum, { writableLength }) => sum + writableLength, 0)
    assert.ok(held > 63_000)
    assert.equal(connection.bufferedBytes, held)

    let steps = 0
    const counted = (list: object) =>
      new Proxy(list, {
        get(queue, key) {
          steps++
          return Reflect.get(queue, key)
        },
      })
    const { queuedResponses, waiting } = exchange
    exchange.queuedResponses = counted(exchange.queuedResponses) as typeof queuedResponses
    exchange.waiting = counted(waiting as object) as typeof waiting
    time.tick()
    const looked = steps
    responses[0]?.write(Buffer.alloc(1_000))
    found.push({ looked, written: steps - looked })
    exchange.queuedResponses = queuedResponses
    exchange.waiting = waiting
    peer.reset()
    await until(() => connection.state === 'closed', 'the close')
  }
  assert.ok((found[0]?.looked ?? 0) > 0, 'the queue is what is counted')
  assert.deepEqual(found[1], found[0])
})
