import assert from 'node:assert/strict'
import { test } from 'node:test'
import fc from 'fast-check'
import { maxPerTurn, Wheel, type WheelEntry } from '../../lib/core/wheel.js'

class Entry implements WheelEntry {
  wheelDue = 0
  wheelIndex = -1
  calls = 0
  onDue: () => void
  constructor(onDue: () => void = () => {}) {
    this.onDue = onDue
  }
  due(): void {
    this.calls++
    this.onDue()
  }
}

test('entries are called once, at their tick and not before, across laps', () => {
  fc.assert(
    fc.property(fc.array(fc.integer({ min: 0, max: 400_000 }), { maxLength: 40 }), (times) => {
      const wheel = new Wheel(assert.ifError)
      let now = 0
      const calledAt = new Map<number, number>()
      times.forEach((at, i) => void wheel.schedule(new Entry(() => calledAt.set(i, now)), at))
      for (; now <= 410_000; now += 100) wheel.turn(now)
      times.forEach((at, i) => void assert.equal(calledAt.get(i), Math.max(100, Math.ceil(at / 100) * 100)))
    }),
    { numRuns: 30 },
  )
})

test('moving and cancelling, also from inside a call', () => {
  const wheel = new Wheel(assert.ifError)
  const moved = new Entry()
  const cancelled = new Entry()
  const first = new Entry(() => {
    wheel.cancel(cancelled)
    wheel.schedule(moved, 500)
  })
  wheel.schedule(moved, 100)
  wheel.schedule(cancelled, 100)
  // Of those that are due together, the one that was put in last is called first.
  wheel.schedule(first, 100)
  wheel.turn(200)
  assert.deepEqual([first.calls, moved.calls, cancelled.calls], [1, 0, 0])
  wheel.turn(500)
  assert.deepEqual([first.calls, moved.calls, cancelled.calls], [1, 1, 0])
})

test('an entry that puts itself in again comes once a tick', () => {
  const wheel = new Wheel(assert.ifError)
  let now = 0
  const entry = new Entry(() => wheel.schedule(entry, now))
  wheel.schedule(entry, 0)
  for (now = 100; now <= 1_000; now += 100) wheel.turn(now)
  assert.equal(entry.calls, 10)
})

test('a turn is bounded: what is left comes in the next', () => {
  const wheel = new Wheel(assert.ifError)
  const entries = Array.from({ length: 10_000 }, () => new Entry())
  for (const entry of entries) wheel.schedule(entry, 100)
  const called = () => entries.reduce((sum, { calls }) => sum + calls, 0)
  let turns = 0
  for (let more = true; more; turns++) {
    const before = called()
    more = wheel.turn(100)
    assert.ok(called() - before <= maxPerTurn)
  }
  assert.equal(turns, Math.ceil(10_000 / maxPerTurn))
  assert.equal(called(), 10_000)
  assert.ok(entries.every(({ calls }) => calls === 1))
})

test('a loop that turns too seldom for its slices delays entries by a bounded time', () => {
  const wheel = new Wheel(assert.ifError)
  let now = 0
  let latest = 0
  // Each comes once a second; one turn a tick would serve a fifteenth of them.
  for (let i = 0; i < 10_000; i++) {
    let at = 1_000 + (i % 10) * 100
    const entry = new Entry(() => {
      latest = Math.max(latest, now - at)
      at = now + 1_000
      wheel.schedule(entry, at)
    })
    wheel.schedule(entry, at)
  }
  for (now = 100; now <= 60_000; now += 100) wheel.turn(now)
  assert.ok(latest <= 5_000, `${latest} ms late`)
})
