import assert from 'node:assert/strict'
import { once } from 'node:events'
import type { ServerResponse } from 'node:http'
import { describe, test } from 'node:test'
import express from 'express'
import type { Connection } from 'peerpulse'
import { isWebSocket, openSocket, openWebSocket, start } from '../policies/support.js'
import { until } from '../support/wait.js'

const MiB = 1024 * 1024
const get = (target: string, version = '1.1') => `GET ${target} HTTP/${version}\r\nHost: x\r\n\r\n`
const requestOf = ({ evidence }: Connection) => [evidence?.phase, evidence?.method, evidence?.path]

describe('the evidence of an HTTP connection', () => {
  test('has the request that was cut off, without query and short', async (t) => {
    for (const [target, path] of [
      ['/orders/7?token=secret', '/orders/7'],
      ['http://user:secret@shop.example/orders?x', '/orders'],
      [`/${'x'.repeat(9_000)}?secret`, `/${'x'.repeat(198)}…`],
    ] as const) {
      const { port, closing, server } = await start(t, {}, () => {})
      const socket = await openSocket(t, port)
      const came = once(server, 'request')
      socket.write(get(target), 'latin1')
      await came
      socket.resetAndDestroy()
      assert.deepEqual(requestOf(await closing()), ['request', 'GET', path])
    }
  })

  test('has the last request where none is in flight', async (t) => {
    const { port, closing } = await start(t, {})
    const socket = await openSocket(t, port)
    for (const path of ['/first?x', `/last?${'secret'.repeat(1_000)}`]) {
      const answer = once(socket, 'data')
      socket.write(get(path))
      await answer
    }
    socket.resetAndDestroy()
    assert.deepEqual(requestOf(await closing()), ['keep-alive', 'GET', '/last'])
  })

  test('of pipelined requests has the one that was being answered', async (t) => {
    const responses: ServerResponse[] = []
    const { port, closing } = await start(t, {}, (_, res) => void responses.push(res))
    const socket = await openSocket(t, port)
    socket.write(get('/first') + get('/second') + get('/third'))
    await until(() => responses.length === 3, 'all three')
    const answered = once(socket, 'data')
    responses[0]?.end('done')
    await answered
    socket.resetAndDestroy()
    assert.deepEqual(requestOf(await closing()), ['request', 'GET', '/second'])
  })

  test('has an upgrade that was never answered, one that was refused, and the stream that ran', async (t) => {
    const { port, server, closed } = await start(t, {}, (_, res) => {
      res.writeHead(200, { 'Content-Type': 'text/event-stream' })
      res.write(': hello\n\n')
    })
    server.removeAllListeners('upgrade')
    server.on('upgrade', () => {})
    const upgrading = await openSocket(t, port)
    upgrading.write(
      get('/live?token=secret').replace('\r\n\r\n', '\r\nUpgrade: x\r\nConnection: Upgrade\r\n\r\n'),
    )
    const stream = await openSocket(t, port)
    stream.write(get('/events?x'))
    await once(stream, 'data')
    upgrading.resetAndDestroy()
    await until(() => closed.length === 1, 'the upgrade')
    stream.resetAndDestroy()
    await until(() => closed.length === 2, 'the stream')
    assert.deepEqual(closed.map(requestOf), [
      ['upgrade', 'GET', '/live'],
      ['established', 'GET', '/events'],
    ])
  })

  test('has the whole path where a router of Express is at work', async (t) => {
    const app = express()
    const orders = express.Router()
    app.use('/shop', orders)
    const asked = new Promise<string>((resolve) => {
      orders.get('/orders/:id', (req) => resolve(req.url))
    })
    const { port, closing } = await start(t, {}, app)
    const socket = await openSocket(t, port)
    socket.write(get('/shop/orders/7?secret'))
    assert.equal(await asked, '/orders/7?secret')
    socket.resetAndDestroy()
    assert.deepEqual(requestOf(await closing()), ['request', 'GET', '/shop/orders/7'])
  })

  test('has none where nobody asked', async (t) => {
    const { port, closing } = await start(t, {})
    ;(await openSocket(t, port)).end()
    const { evidence } = await closing()
    assert.ok(evidence && !('method' in evidence) && !('path' in evidence))
  })
})

describe('the evidence of a slow consumer says which limit it was, with figures', () => {
  test('no progress', async (t) => {
    const budget = { highWaterBytes: MiB, stalledMs: 300 }
    const { port, closing } = await start(t, { budget }, (_, res) => void res.write(Buffer.alloc(12 * MiB)))
    const socket = await openSocket(t, port)
    socket.pause()
    socket.write(get('/report?q'))
    const { closeReason, evidence } = await closing()
    assert.equal(closeReason, 'slow-consumer')
    assert.equal(evidence?.limit, 'budget.stalledMs')
    const [, waiting, still] =
      /^(\d+) bytes wait for the peer, none was taken for (\d+) ms; budget\.stalledMs is 300$/.exec(
        evidence?.message ?? '',
      ) ?? assert.fail(evidence?.message)
    assert.ok(Number(waiting) > MiB && Number(waiting) <= 12 * MiB + 1_000)
    assert.ok(Number(still) >= 300)
    assert.deepEqual([evidence?.method, evidence?.path], ['GET', '/report'])
  })

  test('the cap of one connection, in the log too', async (t) => {
    const lines: string[] = []
    const write = (_: object, message: string) => void lines.push(message)
    const { port, closing, wss } = await start(t, {
      budget: { perConnectionBytes: 2 * MiB, stalledMs: 600_000 },
      log: { info: write, warn: write, error: write },
    })
    const client = await openWebSocket(t, port)
    client.pause()
    const [server] = [...wss.clients]
    for (let i = 0; i < 16; i++) server?.send(Buffer.alloc(MiB))
    const { closeReason, evidence } = await closing(isWebSocket)
    assert.equal(closeReason, 'slow-consumer')
    assert.equal(evidence?.limit, 'budget.perConnectionBytes')
    assert.match(
      evidence?.message ?? '',
      /^\d+ bytes wait for the peer.*; budget\.perConnectionBytes is 2097152$/,
    )
    const line = lines.find((text) => text.includes('closed: slow-consumer')) ?? ''
    assert.ok(line.includes(evidence?.message ?? 'none'), line)
  })

  test('the total of all', async (t) => {
    const { port, closing, wss } = await start(t, {
      budget: { perConnectionBytes: 16 * MiB, totalBytes: 16 * MiB, stalledMs: 600_000 },
    })
    for (let i = 0; i < 3; i++) (await openWebSocket(t, port)).pause()
    for (const server of wss.clients) for (let i = 0; i < 14; i++) server.send(Buffer.alloc(MiB))
    const { closeReason, evidence } = await closing(isWebSocket)
    assert.equal(closeReason, 'slow-consumer')
    assert.equal(evidence?.limit, 'budget.totalBytes')
    assert.match(
      evidence?.message ?? '',
      /^\d+ bytes wait for the peer.*; of all connections \d+ bytes wait, budget\.totalBytes is 16777216$/,
    )
  })

  test('the pressure', async (t) => {
    const monitor = { name: 'dial', read: () => dial }
    let dial = 0
    const { pulse, port, closing, wss } = await start(t, {
      budget: { stalledMs: 600_000, totalBytes: 256 * MiB },
      pressure: { memory: false, monitors: [monitor], warmUpMs: 0 },
    })
    ;(await openWebSocket(t, port)).pause()
    for (const server of wss.clients) for (let i = 0; i < 14; i++) server.send(Buffer.alloc(MiB))
    await until(() => pulse.snapshot().connections.congested === 1, 'the backlog')
    dial = 1
    const { closeReason, evidence } = await closing(isWebSocket)
    assert.equal(closeReason, 'slow-consumer')
    assert.equal(evidence?.limit, 'pressure.actions.evict')
    assert.match(
      evidence?.message ?? '',
      /^\d+ bytes wait for the peer, and the pressure is at pressure\.actions\.evict$/,
    )
  })
})
