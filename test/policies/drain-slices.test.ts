import assert from 'node:assert/strict'
import type { Socket } from 'node:net'
import { test } from 'node:test'
import { Clock, tickMs } from '../../lib/core/clock.js'
import { PeerConnection, type PeerTransport } from '../../lib/core/connection.js'
import type { ConnectionHost } from '../../lib/core/connection-host.js'
import { Registry } from '../../lib/core/registry.js'
import { Vitals } from '../../lib/core/vitals.js'
import { Wheel } from '../../lib/core/wheel.js'
import { Drain, maxEndsPerTurn } from '../../lib/policies/drain.js'
import type { DrainReport } from '../../types/drain.js'
import { FakeTime } from '../core/fake-time.js'

const count = 1_000
const config = { readinessDelayMs: 0, spreadMs: 0, closeTimeoutMs: 2_000, deadlineMs: 20_000 }

/** Peers without sockets, that do nothing by themselves, and a loop that turns when told to. */
class Crowd {
  readonly time = new FakeTime()
  readonly registry = new Registry()
  readonly closes = new Map<PeerConnection, number>()
  readonly terminated = new Set<PeerConnection>()
  readonly drain: Drain
  readonly errors: unknown[] = []
  readonly #host: ConnectionHost<PeerConnection>
  #ends = 0
  #opened = 0

  constructor(options: Partial<typeof config> = {}, tick = () => this.drain.tick()) {
    const clock = new Clock(tick, this.time, (error) => this.errors.push(error))
    const failed = (error: unknown) => assert.fail(error as Error)
    this.#host = {
      clock,
      wheel: new Wheel(failed),
      closeTimeoutMs: 2_000,
      failed,
    } as unknown as ConnectionHost<PeerConnection>
    this.drain = new Drain({ ...config, ...options }, clock, this.registry, new Vitals(), {
      stopListening() {},
      leaveSharedPorts: () => false,
      onPhase() {},
      isCleanedUp: () => true,
      retryMs: () => 0,
    })
  }

  open(protocol: 'websocket' | 'http1', howMany = count): void {
    const transport = {
      protocolOf: () => protocol,
      phaseOf: () => (protocol === 'http1' ? 'keep-alive' : 'established'),
      bufferedBytes: () => 0,
      isBusy: () => false,
      onDrain: () => 'end',
      retire() {},
      close: (connection) => {
        this.#ends++
        this.closes.set(connection, (this.closes.get(connection) ?? 0) + 1)
      },
      terminate: (connection) => {
        this.#ends++
        this.terminated.add(connection)
      },
    } as Partial<PeerTransport> as PeerTransport
    const socket = { remoteAddress: '127.0.0.1' } as Socket
    while (howMany-- > 0) {
      const connection = new PeerConnection(++this.#opened, this.#host, transport, socket)
      this.registry.add(connection)
      this.drain.opened(connection)
    }
  }

  /** Their sockets are gone. */
  leave(connections: Iterable<PeerConnection>): void {
    for (const connection of [...connections]) {
      this.drain.closed(connection)
      this.registry.remove(connection)
    }
  }

  /** The loop turns more often than any of these drains needs. */
  turn(): void {
    for (let turns = 0; turns < 100; turns++) {
      assert.ok(this.#ends <= maxEndsPerTurn, `${this.#ends} ends in one turn of the event loop`)
      this.#ends = 0
      this.time.poll()
    }
  }

  /** Ticks come in time, and the loop turns as often as it likes between two of them. */
  pass(ms: number): void {
    for (const end = this.time.ms + ms; this.time.ms < end; this.turn()) this.time.block(tickMs)
  }

  async report(closed: object): Promise<void> {
    const report = (await this.drain.start('again')) as DrainReport
    assert.deepEqual(report.connections, closed)
  }
}

const once = (closes: Map<PeerConnection, number>) => [...closes.values()].every((times) => times === 1)

for (const protocol of ['websocket', 'http1'] as const) {
  test(`${protocol}: a drain without a spread ends a bounded number in one turn, and everybody once`, async () => {
    const crowd = new Crowd()
    crowd.open(protocol)
    void crowd.drain.start('test')
    crowd.turn()
    assert.equal(crowd.closes.size, count)
    crowd.pass(500)
    assert.ok(once(crowd.closes))
    crowd.leave(crowd.closes.keys())
    crowd.pass(100)
    await crowd.report({ [protocol]: { closed: count, terminated: 0 } })
  })
}

test('a late tick does not end all at once whom it is late for', () => {
  const crowd = new Crowd({ spreadMs: 5_000 })
  crowd.open('websocket')
  void crowd.drain.start('test')
  crowd.pass(1_000)
  assert.equal(crowd.closes.size, count / 5)
  crowd.time.block(4_000)
  crowd.time.poll()
  crowd.turn()
  assert.equal(crowd.closes.size, count)
  assert.ok(once(crowd.closes))
})

test('who comes while the others are being ended is ended too', async () => {
  const crowd = new Crowd({ spreadMs: 1_000 })
  crowd.open('websocket')
  crowd.open('http1')
  void crowd.drain.start('test')
  crowd.pass(500)
  assert.equal(crowd.closes.size, count / 2)
  crowd.open('websocket')
  crowd.pass(1_000)
  assert.equal(crowd.closes.size, 3 * count)
  assert.ok(once(crowd.closes))
  crowd.leave(crowd.closes.keys())
  crowd.pass(100)
  await crowd.report({
    websocket: { closed: 2 * count, terminated: 0 },
    http1: { closed: count, terminated: 0 },
  })
})

test('at the deadline a bounded number is terminated in one turn, and all of them before the report', async () => {
  const crowd = new Crowd({ deadlineMs: 1_000 })
  crowd.open('websocket')
  void crowd.drain.start('test')
  crowd.turn()
  crowd.time.block(5_000)
  crowd.time.poll()
  crowd.turn()
  assert.equal(crowd.terminated.size, count)
  crowd.leave(crowd.terminated)
  crowd.pass(100)
  await crowd.report({ websocket: { closed: 0, terminated: count } })
})

test('they are told in random order, not as they came', () => {
  const crowd = new Crowd({ spreadMs: 5_000 })
  crowd.open('websocket')
  void crowd.drain.start('test')
  crowd.pass(6_000)
  const ids = [...crowd.closes.keys()].map(({ id }) => id)
  assert.equal(ids.length, count)
  // Half of all pairs of neighbours ascend; three times in four would be more than 15 standard deviations away.
  const ascents = ids.filter((id, i) => i > 0 && id > (ids[i - 1] as number)).length
  assert.ok(ascents > count / 4 && ascents < (3 * count) / 4, `${ascents} of ${count} ascend`)
  const early = ids.slice(0, count / 2).filter((id) => id <= count / 2).length
  assert.ok(early > count / 8 && early < (3 * count) / 8, `${early} of the older half in the first half`)
})

test('a drain whose ticks all fail ends all the same, and says so', async () => {
  const crowd = new Crowd({ deadlineMs: 1_000 }, () => {
    throw new Error('a tick')
  })
  crowd.open('websocket', 10)
  const report = crowd.drain.start('test')
  const ended = report.then(() => 'ended')
  crowd.pass(1_000)
  assert.equal(await Promise.race([ended, Promise.resolve('not yet')]), 'not yet')
  crowd.pass(1_500)
  assert.equal((await report).deadlineExceeded, true)
  assert.equal(crowd.terminated.size, 10)
})

test('a drain that is asked for again, with less time left, ends by then', async () => {
  const crowd = new Crowd({ deadlineMs: 20_000 })
  crowd.open('http1', 1)
  for (const connection of crowd.registry) connection.state = 'closing'
  const report = crowd.drain.start('from code')
  crowd.pass(1_000)
  assert.equal(crowd.drain.start('SIGTERM', { elapsedMs: 15_000 }), report)
  crowd.pass(6_000)
  assert.equal((await report).deadlineExceeded, true)
})
