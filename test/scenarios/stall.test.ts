import assert from 'node:assert/strict'
import { test } from 'node:test'
import { until } from '../support/wait.js'
import { deafen, openClient, startServerProcess } from './support.js'

test('four stalls of 1.2 s cost no healthy peer, and dead ones are found all the same', async (t) => {
  const server = await startServerProcess({ heartbeat: { intervalMs: 1_000, timeoutMs: 1_000 } })
  t.after(() => server.kill())
  const healthy = await Promise.all(Array.from({ length: 100 }, () => openClient(server.port)))
  const dead = await Promise.all(Array.from({ length: 10 }, () => openClient(server.port)))
  t.after(() => {
    for (const client of [...healthy, ...dead]) client.terminate()
  })
  let cut = 0
  for (const client of healthy) client.on('close', () => cut++)
  for (const client of dead) deafen(client)

  const { stalls } = await server.ask({ do: 'stall', times: 4, ms: 1_200 })
  assert.ok(stalls >= 1, 'the clock noticed no stall')
  await until(async () => (await server.ask({ do: 'report' })).closes['half-open'] === 10, '10 half-open')
  // Long enough for every healthy peer to be pinged again, and judged.
  const { pings } = await server.ask({ do: 'report' })
  await until(async () => (await server.ask({ do: 'report' })).pings >= pings + 200, 'another round of pings')

  const { closes, open } = await server.ask({ do: 'report' })
  assert.deepEqual(closes, { 'half-open': 10 })
  assert.equal(open, 100)
  assert.equal(cut, 0)
})
