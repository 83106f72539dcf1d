import assert from 'node:assert/strict'
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import type { EventLoopUtilization } from 'node:perf_hooks'
import { describe, test } from 'node:test'
import { Clock } from '../../lib/core/clock.js'
import { createBufferedMonitor } from '../../lib/monitors/buffered.js'
import { createConnectionsMonitor } from '../../lib/monitors/connections.js'
import { createHeapMonitor } from '../../lib/monitors/heap.js'
import { createLoopDelayMonitor } from '../../lib/monitors/loop-delay.js'
import { createLoopUtilizationMonitor } from '../../lib/monitors/loop-utilization.js'
import { createRssMonitor } from '../../lib/monitors/rss.js'
import { createMonitors } from '../../lib/monitors/standard-monitors.js'
import { FakeTime } from '../core/fake-time.js'
import { until } from '../support/wait.js'
import { MiB } from './cgroup-trees.js'

describe('the heap', () => {
  const heap = (usedMiB: number, limitMiB: number, externalMiB: number) =>
    createHeapMonitor({ bytes: 200 * MiB, source: 'memory.max' }, () => ({
      used_heap_size: usedMiB * MiB,
      heap_size_limit: limitMiB * MiB,
      external_memory: externalMiB * MiB,
    }))

  test("against V8's limit, where that is nearer", () => {
    const monitor = heap(50, 100, 10)
    assert.equal(monitor.read(), 0.5)
    assert.deepEqual(monitor.describe?.(), {
      limitBytes: 100 * MiB,
      limitSource: 'v8',
      usedBytes: 50 * MiB,
      externalBytes: 10 * MiB,
    })
  })

  test("with what is outside of V8 against the memory limit, where that is nearer: V8's is above the container's", () => {
    const monitor = heap(150, 259, 30)
    assert.equal(monitor.read(), 0.9)
    assert.equal(monitor.describe?.().limitSource, 'memory.max')
    assert.equal(monitor.describe?.().limitBytes, 200 * MiB)
  })

  test('a Buffer counts', () => {
    const monitor = createHeapMonitor({ bytes: 1024 * MiB, source: 'option' })
    monitor.read()
    const before = Number(monitor.describe?.().externalBytes)
    const held = Buffer.alloc(64 * MiB, 1)
    monitor.read()
    // Others may be collected meanwhile.
    assert.ok(Number(monitor.describe?.().externalBytes) - before >= held.length / 2)
  })
})

test('resident memory, and whose limit it is held against', () => {
  const monitor = createRssMonitor(
    { bytes: 200 * MiB, source: 'machine' },
    undefined,
    () => true,
    () => 50 * MiB,
  )
  assert.equal(monitor.read(), 0.25)
  assert.deepEqual(monitor.describe?.(), {
    limitBytes: 200 * MiB,
    limitSource: 'machine',
    rssBytes: 50 * MiB,
    keptBytes: 0,
  })
})

describe("the loop's delay", () => {
  function start() {
    const time = new FakeTime()
    const clock = new Clock(() => {}, time)
    clock.start()
    return { time, clock, monitor: createLoopDelayMonitor(clock, false) }
  }
  const late = (time: FakeTime, ms: number) => {
    time.block(100 + ms)
    time.poll()
  }

  test('is nothing where ticks are on time, and before the first', () => {
    const { time, monitor } = start()
    assert.equal(monitor.read(), 0)
    time.pass(20_000)
    assert.equal(monitor.read(), 0)
  })

  test('is the 99th percentile of the last 100 ticks: one stop is left out, the second is not', () => {
    const { time, monitor } = start()
    time.pass(10_000)
    late(time, 3_000)
    assert.equal(monitor.read(), 0)
    late(time, 250)
    assert.equal(monitor.read(), 0.5)
    assert.deepEqual(monitor.describe?.(), { p99Ms: 250, limitMs: 500 })
    time.pass(9_900)
    assert.equal(monitor.read(), 0, 'it remembers more than 100 ticks')
  })

  test('reading does not change it, and it begins anew with the clock', () => {
    const { time, clock, monitor } = start()
    for (let i = 0; i < 5; i++) late(time, 400)
    assert.equal(monitor.read(), 0.8)
    assert.equal(monitor.read(), 0.8)
    clock.stop()
    clock.start()
    assert.equal(monitor.read(), 0)
  })
})

describe("the loop's utilization", () => {
  test('is that of the time since the last reading, not since the start', () => {
    const readings: EventLoopUtilization[] = [
      { idle: 90_000, active: 10_000, utilization: 0.1 },
      { idle: 90_050, active: 10_950, utilization: 0.108 },
      { idle: 91_050, active: 10_950, utilization: 0.107 },
    ]
    const monitor = createLoopUtilizationMonitor(false, () => readings.shift() ?? assert.fail())
    assert.equal(monitor.read(), 0.95)
    assert.deepEqual(monitor.describe?.(), { windowMs: 1_000 })
    assert.equal(monitor.read(), 0)
  })
})

test('connections and buffers: against the cap and the budget, only reported', () => {
  const connections = createConnectionsMonitor(() => 30, 40)
  assert.equal(connections.read(), 0.75)
  assert.deepEqual(connections.describe?.(), { maxConnections: 40, connections: 30 })
  const buffered = createBufferedMonitor(() => 8, 64)
  assert.equal(buffered.read(), 0.125)
  assert.deepEqual(buffered.describe?.(), { limitBytes: 64, bufferedBytes: 8 })
  assert.ok(!connections.acts && !buffered.acts)
})

describe('the monitors of a configuration', () => {
  const clock = new Clock(() => {})
  const cgroup = {
    version: 'v2',
    directory: '/nowhere',
    limitBytes: 256 * MiB,
    limitSource: 'memory.max',
  } as const
  const caps = { totalBytes: 32 * MiB, maxConnections: 100 }
  const names = (
    memory: false | { limitBytes: 'auto' },
    given: Parameters<typeof createMonitors>[3],
    inside = true,
  ) =>
    createMonitors(
      { eventLoop: false, memory },
      clock,
      { bufferedBytes: 0, size: 0 },
      given,
      inside ? cgroup : null,
    ).map(({ name }) => name)
  const loop = ['eventLoopDelay', 'eventLoopUtilization']

  test('are those that have something to read', () => {
    const all = [...loop, 'container', 'heap', 'rss', 'buffered', 'connections']
    assert.deepEqual(names({ limitBytes: 'auto' }, caps), all)
    assert.deepEqual(
      names({ limitBytes: 'auto' }, caps, false),
      all.filter((name) => name !== 'container'),
    )
    assert.deepEqual(names(false, { totalBytes: undefined, maxConnections: false }), loop)
  })

  test('let the container decide where the kernel counts it, and RSS where it does not or was given a limit', (t) => {
    const directory = mkdtempSync(join(tmpdir(), 'peerpulse-'))
    t.after(() => rmSync(directory, { recursive: true }))
    writeFileSync(join(directory, 'memory.current'), `${64 * MiB}\n`)
    writeFileSync(join(directory, 'memory.stat'), 'anon 1\ninactive_file 4096\n')
    const rssActs = (limitBytes: number | 'auto', group: typeof cgroup | null) => {
      const monitors = createMonitors(
        { eventLoop: false, memory: { limitBytes } },
        clock,
        { bufferedBytes: 0, size: 0 },
        caps,
        group,
      )
      for (const monitor of monitors) {
        try {
          monitor.read()
        } catch {}
      }
      for (const monitor of monitors) monitor.stop?.()
      return monitors.find(({ name }) => name === 'rss')?.acts
    }
    const readable = { ...cgroup, directory: directory as '/nowhere' }
    assert.equal(rssActs('auto', readable), false)
    assert.equal(rssActs('auto', cgroup), true, 'nobody acts for a container that cannot be read')
    assert.equal(rssActs(100 * MiB, readable), true)
    assert.equal(rssActs('auto', null), true)
  })

  test('read something of this process, each between 0 and 1', async () => {
    const monitors = createMonitors(
      { eventLoop: false, memory: { limitBytes: 'auto' } },
      clock,
      { bufferedBytes: 0, size: 0 },
      caps,
    )
    await until(() => performance.eventLoopUtilization().idle > 0, 'the loop to have turned')
    for (const monitor of monitors) {
      const reading = monitor.read() ?? Number.NaN
      assert.ok(reading >= 0 && reading <= 1, `${monitor.name} reads ${reading}`)
      for (const value of Object.values(monitor.describe?.() ?? {}))
        assert.ok(value !== '' && !Number.isNaN(value), monitor.name)
      monitor.stop?.()
    }
  })
})
