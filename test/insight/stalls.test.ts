import assert from 'node:assert/strict'
import { subscribe, unsubscribe } from 'node:diagnostics_channel'
import { test } from 'node:test'
import type { Stall } from 'peerpulse'
import { Stalls } from '../../lib/insight/stalls.js'
import { start } from '../policies/support.js'
import { until } from '../support/wait.js'

/** Keeps the event loop from turning. */
function stall(ms: number): void {
  const end = performance.now() + ms
  while (performance.now() < end);
}

test('a stall is an event, a diagnostics channel, a line in the log, and in the snapshot', async (t) => {
  const lines: [object, string][] = []
  const write = (fields: object, message: string) => void lines.push([fields, message])
  const { pulse } = await start(t, { log: { info: write, warn: write, error: write } })
  const events: Stall[] = []
  const published: Stall[] = []
  const onMessage = (message: unknown) => void published.push(message as Stall)
  subscribe('peerpulse:stall', onMessage)
  t.after(() => unsubscribe('peerpulse:stall', onMessage))
  pulse.on('stall', (one) => events.push(one))
  const before = Date.now()
  stall(700)
  const after = Date.now()
  await until(() => events.some(({ ms }) => ms >= 500), 'the stall')
  const long = events.find(({ ms }) => ms >= 500)
  assert.ok(long)
  // It began with the tick that did not come: a tick is 100 ms.
  assert.ok(long.at >= before - 100 && long.at <= after, `${long.at - before} ms after the stall began`)
  assert.ok(long.ms <= Date.now() - before)
  assert.equal(long.ongoing, false)
  assert.deepEqual(published, events)
  const { stalls, loop } = pulse.snapshot()
  assert.deepEqual(stalls, [...events].reverse())
  assert.equal(loop.stalls, events.length)
  const [fields, message] = lines.find(([, text]) => text.includes('stood still')) ?? assert.fail('no line')
  assert.deepEqual(fields, { event: 'stall', ...long })
  assert.equal(message, `peerpulse: the event loop stood still for ${(long.ms / 1000).toFixed(1)} s`)
})

test('short stalls are no lines, many are a sum, and twenty are remembered', () => {
  const lines: [object, string][] = []
  const warn = (fields: object, message: string) => void lines.push([fields, message])
  const stalls = new Stalls((write) => write({ info: warn, warn, error: warn }))
  stalls.tick(60_000)
  for (let i = 1; i <= 30; i++) stalls.note({ at: i, ms: 249, ongoing: false })
  assert.equal(lines.length, 0)
  assert.deepEqual(
    stalls.last.map(({ at }) => at),
    Array.from({ length: 20 }, (_, i) => 30 - i),
  )
  for (let i = 1; i <= 8; i++) stalls.note({ at: i, ms: 1_000 * i, ongoing: false })
  assert.equal(lines.length, 5)
  stalls.tick(119_900)
  assert.equal(lines.length, 5)
  stalls.tick(120_000)
  assert.deepEqual(lines[5], [
    { event: 'stall', count: 3, ms: 21_000, longestMs: 8_000 },
    'the event loop stood still 3 times more, for 21.0 s in all, 8.0 s at the longest',
  ])
  stalls.tick(180_000)
  assert.equal(lines.length, 6)
})
