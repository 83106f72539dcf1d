import assert from 'node:assert/strict'
import { test } from 'node:test'
import { until } from '../support/wait.js'
import { deafen, openClient, startServerProcess } from './support.js'

const MiB = 1024 * 1024

test('a reader that stops under 100 MiB/s is closed as slow-consumer, and the memory stays bounded', async (t) => {
  const perConnectionBytes = 16 * MiB
  const server = await startServerProcess({ budget: { perConnectionBytes } })
  t.after(() => server.kill())
  const reader = await openClient(server.port)
  t.after(() => reader.terminate())
  deafen(reader)

  const flood = { do: 'flood', messageBytes: 64 * 1024, bytesPerSecond: 100 * MiB, forMs: 4_000 } as const
  const { peakGrowthBytes } = await server.ask(flood)
  await until(async () => (await server.ask({ do: 'report' })).closes['slow-consumer'] === 1, 'closed')
  t.diagnostic(`memory grew by ${Math.round(peakGrowthBytes / MiB)} MiB at most`)
  assert.ok(peakGrowthBytes <= perConnectionBytes + 64 * MiB, `grew by ${peakGrowthBytes / MiB} MiB`)
})

test('a slow link that still takes bytes lives', async (t) => {
  const server = await startServerProcess({ budget: { stalledMs: 600 } })
  t.after(() => server.kill())
  const reader = await openClient(server.port)
  t.after(() => reader.terminate())
  deafen(reader)
  const flood = server.ask({ do: 'flood', messageBytes: 64 * 1024, bytesPerSecond: 20 * MiB, forMs: 500 })
  // Reads a little every so often: never much, yet never nothing for as long as `stalledMs`.
  const { _socket: socket } = reader as unknown as {
    _socket: { pause(): void; resume(): void; bytesRead: number }
  }
  let closed = false
  reader.on('close', () => {
    closed = true
  })
  const trickle = setInterval(() => {
    socket.resume()
    setImmediate(() => socket.pause())
  }, 20)
  t.after(() => clearInterval(trickle))
  await flood
  await until(() => closed || socket.bytesRead > 9 * MiB, 'all read')
  assert.equal(closed, false)
})
