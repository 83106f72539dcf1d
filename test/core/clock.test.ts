import assert from 'node:assert/strict'
import { test } from 'node:test'
import { Clock, tickMs } from '../../lib/core/clock.js'
import { FakeTime } from './fake-time.js'

function startClock(): { time: FakeTime; clock: Clock; turns: number[] } {
  const time = new FakeTime()
  const turns: number[] = []
  const clock = new Clock(() => turns.push(clock.now), time)
  clock.start()
  return { time, clock, turns }
}

test('credited time passes with the loop', () => {
  const { time, clock, turns } = startClock()
  time.pass(1_000)
  assert.equal(clock.now, 1_000)
  assert.equal(turns.length, 10)
  assert.equal(clock.stallCount, 0)
})

test('a stall counts as one tick, however long', () => {
  const { time, clock } = startClock()
  time.pass(500)
  time.block(5_000)
  time.poll()
  assert.equal(clock.now, 500 + tickMs)
  assert.equal(clock.stallCount, 1)
  assert.equal(Math.round(clock.stalledMs), 5_000 - tickMs)
})

test('after a stall nothing is judged before the poll phase', () => {
  const { time, turns } = startClock()
  time.pass(300)
  time.block(1_200)
  assert.equal(turns.length, 3, 'it turned before the peers could be heard')
  time.poll()
  assert.equal(turns.length, 4)
})

test('credited time translates into epoch time across stalls', () => {
  const { time, clock } = startClock()
  const start = time.epoch()
  time.pass(1_000)
  const before = clock.now
  time.block(3_000)
  time.poll()
  time.pass(1_000)
  assert.equal(clock.toEpoch(before), start + 1_000)
  assert.equal(clock.toEpoch(clock.now), time.epoch())
  assert.equal(clock.stalledSince(before), 3_000 - tickMs)
  assert.equal(clock.stalledSince(clock.now), 0)
})

test('stalls that are remembered are bounded', () => {
  const { time, clock } = startClock()
  for (let i = 0; i < 2_000; i++) {
    time.block(300)
    time.poll()
  }
  assert.equal(clock.stallCount, 2_000)
  assert.ok(clock.stalledSince(0) <= 256 * 300)
})

test('stop ends the timer, start begins anew without a stall', () => {
  const { time, clock } = startClock()
  time.pass(200)
  clock.stop()
  assert.equal(time.running, false)
  time.ms += 60_000
  clock.start()
  time.pass(200)
  assert.equal(clock.now, 400)
  assert.equal(clock.stallCount, 0)
})

test('small delays of every tick do not add up: deadlines stay on ticks', () => {
  const { time, clock, turns } = startClock()
  for (let i = 0; i < 1_000; i++) {
    time.block(101)
    time.poll()
  }
  assert.equal(clock.now, 101_000)
  assert.ok(turns.every((now) => now % tickMs === 0))
})

test('a quiet turn is one in which next to no time passed; where there is none, 200 ms are enough', () => {
  const time = new FakeTime()
  const clock = new Clock(() => {}, time)
  let runs = 0
  const turns = (ms: number, most: number) => {
    for (let turn = 1; turn <= most; turn++) {
      time.ms += ms
      time.poll()
      if (runs > 0) return turn
    }
    return 0
  }
  clock.inQuietTurn(() => runs++)
  assert.equal(turns(1, 5), 0, 'each of these turns took a millisecond')
  assert.equal(turns(0.01, 5), 1)
  runs = 0
  clock.inQuietTurn(() => runs++)
  const busy = turns(5, 100)
  assert.ok(busy > 30 && busy <= 41, `${busy} turns of 5 ms`)
  time.poll()
  assert.equal(runs, 1, 'it runs once')
})

test('a real deadline counts stalls, comes behind the poll phase, and can be taken back', () => {
  const { time, clock } = startClock()
  const came: string[] = []
  clock.afterReal(1_000, () => came.push('first'))
  const takeBack = clock.afterReal(1_000, () => came.push('second'))
  time.pass(500)
  takeBack()
  time.block(600)
  assert.deepEqual(came, [], 'what has arrived meanwhile is heard first')
  time.poll()
  assert.deepEqual(came, ['first'])
  assert.ok(clock.now < 1_000)
})

test('a real deadline comes though the tick throws, and though the clock is stopped; then nothing is left', () => {
  const time = new FakeTime()
  const errors: unknown[] = []
  const clock = new Clock(
    () => {
      throw new Error('a tick')
    },
    time,
    (error) => errors.push(error),
  )
  const came: number[] = []
  clock.start()
  clock.afterReal(300, () => {
    came.push(300)
    throw new Error('a deadline')
  })
  clock.afterReal(300, () => came.push(301))
  clock.afterReal(700, () => came.push(700))
  time.pass(400)
  assert.deepEqual(came, [300, 301])
  clock.stop()
  const before = errors.length
  time.pass(600)
  assert.deepEqual(came, [300, 301, 700])
  assert.equal(errors.length, before, 'it does not tick any more')
  assert.equal(time.running, false)
})

test('what throws behind a poll phase is handed on, and does not end the process', () => {
  const time = new FakeTime()
  const errors: string[] = []
  const clock = new Clock(
    () => {},
    time,
    (error) => errors.push((error as Error).message),
  )
  let slices = 0
  const goOn = clock.inSlices(() => {
    if (++slices === 2) throw new Error('a slice')
    return slices < 4
  })
  goOn()
  time.poll()
  assert.deepEqual(errors, ['a slice'])
  goOn()
  time.poll()
  assert.equal(slices, 4, 'it can go on')
  clock.inQuietTurn(() => {
    throw new Error('a quiet turn')
  })
  for (let i = 0; i < 3; i++) time.poll()
  assert.deepEqual(errors, ['a slice', 'a quiet turn'])
})
