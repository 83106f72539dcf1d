import assert from 'node:assert/strict'
import { describe, test } from 'node:test'
import { collectGarbage } from '../../lib/monitors/collection.js'
import { type Collected, describeCollected, KeptMemory, KeptShare } from '../../lib/monitors/kept-memory.js'
import { createRssMonitor } from '../../lib/monitors/rss.js'
import { until } from '../support/wait.js'
import { MiB } from './cgroup-trees.js'

const calm = 0.7
const limitBytes = 256 * MiB

/** A process whose memory is as the test says, in MiB, and what its monitor makes of it. */
class FakeProcess {
  rss = 80
  used = 20
  /** Beyond what is used. */
  taken = 0
  readonly told: Collected[] = []
  readonly kept = new KeptMemory(
    (collected) => this.told.push(collected),
    () => ({
      rssBytes: this.rss * MiB,
      usedBytes: this.used * MiB,
      takenBytes: (this.used + this.taken) * MiB,
    }),
    () => true,
  )
  readonly share = new KeptShare(this.kept)

  /** One reading of the monitors: MiB that are needed. */
  read(rss = this.rss, used = this.used): number {
    this.rss = rss
    this.used = used
    const needed = this.share.needed(rss * MiB, limitBytes) / MiB
    this.kept.turn(calm)
    return needed
  }

  collect(rss: number, used: number): void {
    this.rss = rss
    this.used = used
    this.kept.collect()
  }
}

describe('memory that is kept without use', () => {
  test('counts until a collection has told it apart; then only what is used does', () => {
    const box = new FakeProcess()
    assert.equal(box.read(), 80)
    assert.equal(box.read(250, 180), 250)
    assert.equal(box.read(250, 180), 250)
    box.collect(240, 15)
    // 60 MiB of code and native memory, as before the burst, and the 15.
    assert.equal(box.read(), 75)
    assert.equal(box.told[0]?.keptBytes, 165 * MiB)
  })

  test('is also what JavaScript held for a moment between two readings, and what V8 has taken and is free again', () => {
    const between = new FakeProcess()
    between.read()
    between.read(250, 30)
    between.used = 180
    between.kept.sample()
    between.collect(240, 15)
    assert.equal(between.read(), 75)
    const taken = new FakeProcess()
    taken.read()
    taken.taken = 150
    taken.read(250, 30)
    taken.taken = 0
    taken.collect(240, 15)
    assert.equal(taken.read(), 75)
  })

  test('is taken again before the process grows: what is used anew counts', () => {
    const box = new FakeProcess()
    box.read()
    box.read(250, 180)
    box.collect(240, 15)
    assert.equal(box.read(240, 115), 175)
  })

  test('is not what native code took meanwhile: JavaScript never held that', () => {
    const box = new FakeProcess()
    box.read()
    box.read(200, 40)
    box.read(250, 40)
    box.collect(245, 20)
    assert.equal(box.read(), 225)
  })

  test('is not trusted where the process grows all the same, and not at all when half of the room is gone', () => {
    const box = new FakeProcess()
    box.read()
    box.read(250, 180)
    box.collect(236, 15)
    assert.equal(box.read(), 75)
    const [some, more, all] = [box.read(238, 15), box.read(242, 15), box.read(246, 15)]
    assert.ok(75 < some && some < more && more < all, `${some}, ${more}, ${all}`)
    assert.equal(all, 246)
  })

  test('is nothing once the memory is calm again, and the next burst is judged by what was then', () => {
    const box = new FakeProcess()
    box.read()
    box.read(250, 180)
    box.collect(240, 15)
    box.read()
    assert.equal(box.read(150, 15), 150 - (150 - 60 - 15), 'what was given back counts for nothing')
    assert.equal(box.read(150, 15), 150)
    box.read(250, 100)
    box.collect(250, 15)
    assert.equal(box.read(), 250 - (100 - 15))
  })

  test('is said in the log line and by the monitor', () => {
    const box = new FakeProcess()
    const monitor = createRssMonitor(
      { bytes: limitBytes, source: 'option' },
      box.kept,
      () => true,
      () => box.rss * MiB,
    )
    box.read()
    monitor.read()
    box.read(250, 180)
    box.collect(240, 15)
    assert.equal(monitor.read(), 75 / 256)
    assert.equal(monitor.describe?.().keptBytes, 165 * MiB)
    assert.match(
      describeCollected(box.told[0] ?? assert.fail()),
      /JavaScript holds 15 MiB .*240 MiB are resident, of them 165 MiB kept without use$/,
    )
  })
})

test('V8 collects when it is asked, without a flag, and leaves no trace of it', async () => {
  const held = new WeakRef({})
  await until(() => {
    assert.equal(collectGarbage(), true)
    return held.deref() === undefined
  }, 'an object to be collected')
  assert.equal((globalThis as { gc?: unknown }).gc, undefined)
})
