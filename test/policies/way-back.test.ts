import assert from 'node:assert/strict'
import { describe, test } from 'node:test'
import { defaults } from '../../lib/core/defaults.js'
import { Pressure } from '../../lib/policies/pressure.js'
import { Reopening } from '../../lib/policies/reopening.js'
import { WayBack } from '../../lib/policies/way-back.js'
import type { Monitor } from '../../types/monitor.js'

const second = 1_000

/** A pressure that the test sets, read twice a second, and the times in seconds at which memory was collected. */
function pressed(name = 'rss', collection = { tookMs: 5, isWorthIt: true }, expectedMs = 5, calm = 0.7) {
  let value = 0
  let now = 0
  const monitor: Monitor = { name, read: () => value }
  const pressure = new Pressure(
    { enter: [0.8, 0.92], leave: [0.7, 0.85], dwellMs: defaults.pressure.dwellMs, warmUpMs: 0 },
    [monitor],
    () => {},
    () => {},
  )
  const collected: number[] = []
  const reclaim = {
    turn: () => {},
    sample: () => {},
    expectedMs,
    collect: () => {
      collected.push(now / second)
      return collection
    },
  }
  const wayBack = new WayBack(reclaim, calm, defaults.pressure.dwellMs)
  return {
    pressure,
    collected,
    hold(
      at: number,
      seconds: number,
      { mayCollect = true, refusesAll = at >= 0.92 }: { mayCollect?: boolean; refusesAll?: boolean } = {},
    ) {
      value = at
      for (const end = now + seconds * second; now < end; now += second / 2) {
        pressure.update(now)
        const isPressed = refusesAll || pressure.level !== 'normal'
        wayBack.update(pressure, now, { isPressed, mayCollect, refusesAll })
      }
    },
  }
}

describe('what is dead is collected', () => {
  test('when pressure of memory has lasted for a dwell, and again while it lasts and there is garbage', () => {
    const box = pressed()
    box.hold(0.95, 16)
    assert.deepEqual(box.collected, [5, 10, 15])
    box.hold(0.1, 20)
    box.hold(0.85, 6)
    assert.deepEqual(box.collected.slice(3), [41], 'an elevated pressure has no way back')
  })

  test('more and more seldom where there is none, but never more than a minute apart', () => {
    const box = pressed('rss', { tookMs: 5, isWorthIt: false })
    box.hold(0.95, 300)
    const gaps = box.collected.slice(1).map((at, i) => at - (box.collected[i] as number))
    assert.deepEqual(gaps, [10, 20, 40, 60, 60, 60])
  })

  test('so seldom that it takes one per cent of the time', () => {
    const box = pressed('heap', { tookMs: 400, isWorthIt: true })
    box.hold(0.95, 90)
    assert.deepEqual(box.collected, [5, 45, 85])
  })

  test('of a large heap that is in use, while requests are served: late, and soon hardly ever', () => {
    const box = pressed('heap', { tookMs: 600, isWorthIt: false }, 600)
    box.hold(0.85, 3_600)
    const gaps = box.collected.map((at, i) => at - (box.collected[i - 1] ?? 0))
    assert.deepEqual(gaps, [60, 120, 240, 480, 600, 600, 600, 600])
    const refusing = pressed('heap', { tookMs: 600, isWorthIt: false }, 600)
    refusing.hold(0.95, 200)
    assert.deepEqual(refusing.collected, [5, 65, 125, 185], 'nobody waits for the loop')
  })

  test('where an action with a threshold below the first level is on: the level is normal, and everything may be refused', () => {
    const box = pressed('rss', { tookMs: 5, isWorthIt: true }, 5, 0.5)
    box.hold(0.65, 20, { refusesAll: true })
    assert.equal(box.pressure.level, 'normal')
    assert.deepEqual(box.collected, [5, 10, 15])
  })

  test('soon when requests are refused, however seldom it was worth it while they were served', () => {
    const box = pressed('heap', { tookMs: 600, isWorthIt: false }, 600)
    box.hold(0.85, 1_000)
    const before = box.collected.length
    box.hold(0.95, 100)
    assert.ok((box.collected[before] as number) <= 1_060, `${box.collected}`)
    assert.ok(
      (box.collected[before] as number) - (box.collected[before - 1] as number) >= 60,
      'one per cent of the time',
    )
  })

  test('not for a pressure that is none of memory, and not in a dry run', () => {
    const queue = pressed('queue')
    queue.hold(0.95, 60)
    assert.deepEqual(queue.collected, [])
    const watched = pressed()
    watched.hold(0.95, 60, { mayCollect: false })
    assert.deepEqual(watched.collected, [])
  })
})

describe('requests are let in again', () => {
  const asked = (reopening: Reopening, requests: number) => {
    let admitted = 0
    for (let i = 0; i < requests; i++) if (reopening.admits()) admitted++
    return admitted
  }

  test('ten at first, then twice as many from reading to reading, until nobody is refused', () => {
    const reopening = new Reopening()
    assert.equal(asked(reopening, 1_000), 1_000)
    reopening.start(0.3)
    const admitted: number[] = []
    for (let i = 0; reopening.isActive && i < 20; i++) {
      admitted.push(asked(reopening, 100))
      reopening.update(0.3, 0.8)
    }
    assert.deepEqual(admitted, [10, 20, 40, 80, 100])
  })

  test('more slowly where there is little room, and anew once all had to be refused again', () => {
    const reopening = new Reopening()
    const most = 0.8
    let pressure = 0.3
    reopening.start(pressure)
    for (let i = 0; i < 100 && reopening.isActive; i++) {
      const admitted = asked(reopening, 1_000)
      assert.ok(admitted >= 10)
      pressure += admitted * 0.001
      assert.ok(pressure < 1, `${admitted} at ${pressure}`)
      if (pressure < most) reopening.update(pressure, most)
      else {
        pressure = 0.5
        reopening.start(pressure)
      }
    }
  })

  test('a pressure that swings just below where all are refused keeps nobody out for long', () => {
    const reopening = new Reopening()
    reopening.start(0.9)
    let readings = 0
    for (; reopening.isActive && readings < 100; readings++) {
      asked(reopening, 500)
      reopening.update(readings % 2 === 0 ? 0.91 : 0.9, 0.92)
    }
    assert.ok(readings < 25, `${readings} readings`)
  })
})

test('the level is not normal before everybody is let in again', () => {
  const box = pressed()
  box.hold(0.95, 6)
  box.pressure.staysElevated = true
  box.hold(0.1, 20)
  assert.equal(box.pressure.level, 'elevated')
  box.pressure.staysElevated = false
  box.hold(0.1, 1)
  assert.equal(box.pressure.level, 'normal')
})
