import assert from 'node:assert/strict'
import { test } from 'node:test'
import { tickMs } from '../../lib/core/clock.js'
import { Wheel, type WheelEntry } from '../../lib/core/wheel.js'
import { Random } from '../support/random.js'

const intervalTicks = 250
/** One in four is due beyond a lap of the wheel, as an idle timeout is. */
const farTicks = 1_200
const ticks = 1_500

/** Counts how often the wheel touches an entry: every field it reads or sets is a step. */
class CountedEntry implements WheelEntry {
  static steps = 0
  #due = 0
  #index = -1
  readonly #serve: (entry: CountedEntry) => void

  constructor(serve: (entry: CountedEntry) => void) {
    this.#serve = serve
  }
  get wheelDue(): number {
    CountedEntry.steps++
    return this.#due
  }
  set wheelDue(due: number) {
    CountedEntry.steps++
    this.#due = due
  }
  get wheelIndex(): number {
    CountedEntry.steps++
    return this.#index
  }
  set wheelIndex(index: number) {
    CountedEntry.steps++
    this.#index = index
  }
  due(): void {
    this.#serve(this)
  }
}

/** Entries that come again and again, as connections do: steps for each that was served. */
function stepsPerServed(count: number): number {
  const random = new Random(1)
  const wheel = new Wheel(assert.ifError)
  let now = 0
  let served = 0
  for (let i = 0; i < count; i++) {
    const againMs = (i % 4 === 0 ? farTicks : intervalTicks) * tickMs
    const entry = new CountedEntry((self) => {
      served++
      wheel.schedule(self, now + againMs)
    })
    wheel.schedule(entry, random.below(againMs))
  }
  CountedEntry.steps = 0
  for (let tick = 1; tick <= ticks; tick++) {
    now = tick * tickMs
    while (wheel.turn(now));
  }
  assert.ok(served > count, `${served} were served`)
  return CountedEntry.steps / served
}

test('to serve one of a million connections takes as many steps as one of ten thousand', (t) => {
  const few = stepsPerServed(10_000)
  const many = stepsPerServed(1_000_000)
  t.diagnostic(`steps: ${few.toFixed(1)} of 10,000, ${many.toFixed(1)} of 1,000,000`)
  assert.ok(many <= few * 1.5, `${few} and ${many} steps`)
  assert.ok(few <= 30, `${few} steps`)
})

test('to move or to take out one of a million takes as many steps as the only one', () => {
  const stepsAmong = (count: number) => {
    const wheel = new Wheel(assert.ifError)
    const entries = Array.from({ length: count }, () => new CountedEntry(() => {}))
    for (const entry of entries) wheel.schedule(entry, 5_000)
    const [middle] = entries.slice(count >> 1) as [CountedEntry]
    CountedEntry.steps = 0
    wheel.schedule(middle, 6_000)
    wheel.cancel(middle)
    return CountedEntry.steps
  }
  const alone = stepsAmong(1)
  const among = stepsAmong(100_000)
  // The last in its slot takes its place.
  assert.ok(among <= alone + 4, `${alone} and ${among} steps`)
})
