import type { TestContext } from 'node:test'
import { systemTime, tickMs } from '../../lib/core/clock.js'
import { FakeTime } from '../core/fake-time.js'

/** Time that passes only when told to, for real servers, sockets and turns of the event loop. */
export interface ToldTime {
  /** Credited milliseconds since the test began. */
  readonly now: number
  /** One tick of every pulse. */
  tick(): void
}

/** Pulses that the test makes from here on have told time. Only those of `lib` as the test imports it. */
export function tellTime(t: TestContext): ToldTime {
  const time = new FakeTime()
  const began = time.ms
  t.mock.method(systemTime, 'now', () => time.now())
  t.mock.method(systemTime, 'epoch', () => time.epoch())
  t.mock.method(systemTime, 'every', (ms: number, turn: () => void) => time.every(ms, turn))
  t.mock.method(systemTime, 'cancel', () => time.cancel())
  return {
    get now() {
      return time.ms - began
    },
    tick: () => time.pass(tickMs),
  }
}
