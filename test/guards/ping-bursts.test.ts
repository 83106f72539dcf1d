import assert from 'node:assert/strict'
import { test } from 'node:test'
import { maxPerTurn } from '../../lib/core/wheel.js'
import { turn, until } from '../support/wait.js'
import { openPeers, startWatched } from './support.js'
import { tellTime } from './told-time.js'

const count = 1_000
const intervalMs = 25_000
const pingFrame = Buffer.from('\x89\x04ppls', 'latin1')

test(`of ${count} peers that are due together, at most ${maxPerTurn} are pinged in a turn of the event loop`, async (t) => {
  const time = tellTime(t)
  const { pulse, port } = await startWatched(t, { heartbeat: { intervalMs, timeoutMs: 10_000 } })
  const peers = await openPeers(t, port, count)
  const pings = () => pulse.snapshot().totals.pings
  while (time.now < intervalMs - 1_000) {
    time.tick()
    await turn()
  }
  assert.equal(pings(), 0)

  const bursts: number[] = []
  let seen = 0
  const look = () => {
    const now = pings()
    if (now > seen) bursts.push(now - seen)
    seen = now
  }
  // In line before peerpulse in every turn's check phase: between two looks there is one slice of its work.
  const watch = () => {
    look()
    watching = setImmediate(watch)
  }
  let watching = setImmediate(watch)
  t.after(() => clearImmediate(watching))
  let ticks = 0
  while (seen === 0) {
    assert.ok(++ticks < 50, 'they are due')
    // As a timer of the loop's, which is what drives a pulse.
    await new Promise<void>((resolve) => setTimeout(() => resolve(time.tick()), 1))
    look()
    await turn()
  }
  await until(() => seen >= count, 'the pings')
  assert.ok(Math.max(...bursts) <= maxPerTurn, `bursts of ${bursts}`)
  assert.ok(maxPerTurn <= 64, 'a slice stays small')

  await until(
    () => peers.every(({ received }) => received.length >= pingFrame.length),
    'a ping at every peer',
  )
  assert.equal(pings(), count)
  for (const { received } of peers) assert.deepEqual(received, pingFrame)
})
