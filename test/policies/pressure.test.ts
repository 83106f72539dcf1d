import assert from 'node:assert/strict'
import { once } from 'node:events'
import { test } from 'node:test'
import { WebSocket } from 'ws'
import { type LevelChange, Pressure } from '../../lib/policies/pressure.js'
import { until } from '../support/wait.js'
import { openSocket, readAll, start } from './support.js'

const config = {
  memory: false,
  enter: [0.8, 0.92],
  leave: [0.7, 0.85],
  dwellMs: 5_000,
  warmUpMs: 10_000,
  eventLoop: false,
} as const

function fakePressure(): {
  pressure: Pressure
  changes: LevelChange[]
  read(value: number, now: number): void
} {
  let reading = 0
  const changes: LevelChange[] = []
  const pressure = new Pressure(
    { ...config, enter: [...config.enter], leave: [...config.leave] },
    [
      { name: 'fake', acts: true, read: () => reading },
      { name: 'loud', acts: false, read: () => 1 },
    ],
    (change) => changes.push(change),
    () => {},
  )
  pressure.update(0)
  return {
    pressure,
    changes,
    read(value, now) {
      reading = value
      pressure.update(now)
    },
  }
}

test('levels: up at once, down below the leave threshold and after the dwell; what only reports does not act', () => {
  const { pressure, read, changes } = fakePressure()
  read(0.99, 9_000)
  assert.equal(pressure.level, 'normal', 'it entered a level in the warm-up')
  read(0.85, 10_000)
  assert.equal(pressure.level, 'elevated')
  read(0.95, 10_500)
  assert.equal(pressure.level, 'critical')
  read(0.1, 12_000)
  assert.equal(pressure.level, 'critical', 'it left before the dwell')
  read(0.88, 16_000)
  assert.equal(pressure.level, 'critical', 'it left above the leave threshold')
  read(0.8, 16_500)
  assert.equal(pressure.level, 'elevated')
  read(0.1, 22_000)
  assert.equal(pressure.level, 'normal')
  assert.deepEqual(
    changes.map(({ previous, level, monitor }) => [previous, level, monitor]),
    [
      ['normal', 'elevated', 'fake'],
      ['elevated', 'critical', 'fake'],
      ['critical', 'elevated', 'fake'],
      ['elevated', 'normal', 'fake'],
    ],
  )
})

test('a load that swings around a threshold does not flap', () => {
  const { read, changes } = fakePressure()
  for (let now = 10_000, up = false; now < 310_000; now += 500, up = !up) read(up ? 0.84 : 0.76, now)
  assert.equal(changes.length, 1)
})

test('a monitor that throws stands aside, and says so once', () => {
  const errors: string[] = []
  const broken = { name: 'broken', acts: true, read: () => assert.fail('no file') }
  const pressure = new Pressure(
    { ...config, enter: [0.8, 0.92], leave: [0.7, 0.85] },
    [broken],
    () => {},
    (name) => errors.push(name),
  )
  pressure.update(0)
  pressure.update(500)
  assert.deepEqual(errors, ['broken'])
})

test('under critical pressure upgrades and requests get 503 with the reason; probes and priority pass', async (t) => {
  const { pulse, port, closing } = await start(t, {
    pressure: {
      // Resident memory is far above this: critical, though not past the middle to full for the reading below.
      memory: { limitBytes: Math.round(process.memoryUsage.rss() / 0.93) },
      warmUpMs: 0,
      enter: [0.2, 0.3],
      leave: [0.1, 0.2],
      priority: ({ url }) => (url === '/vip' ? 1 : 0),
    },
  })
  await until(() => pulse.snapshot().pressure.level === 'critical', 'critical')
  const plain = await openSocket(t, port)
  // The connection outlives a refusal, unless the request has a body that nobody wants.
  plain.write('GET / HTTP/1.1\r\nHost: x\r\n\r\nPOST / HTTP/1.1\r\nHost: x\r\nContent-Length: 9\r\n\r\nbo')
  const [answer = '', last = ''] = (await readAll(plain)).split(/(?<=.)(?=HTTP\/1\.1 )/s)
  assert.match(answer, /^HTTP\/1\.1 503 /)
  assert.match(answer, /\r\nConnection: keep-alive\r\n/)
  assert.match(last, /^HTTP\/1\.1 503 .*\r\nConnection: close\r\n/s)
  assert.match(answer, /\r\nRetry-After: \d+\r\n/)
  assert.match(answer, /\r\nPeerpulse-Reason: shed\r\n/)
  assert.equal((await closing()).closeReason, 'shed')
  const unusual = await openSocket(t, port)
  unusual.write('GET / HTTP/1.1\r\nHost: x\r\nContent-Length: 9\r\n\r\nbo')
  assert.match(await readAll(unusual), /^HTTP\/1\.1 503 .*\r\nConnection: close\r\n/s)
  assert.equal((await fetch(`http://127.0.0.1:${port}/readyz`)).status, 503, 'ready, and refuses everything')
  assert.equal((await fetch(`http://127.0.0.1:${port}/livez`)).status, 200)

  const upgrade = new WebSocket(`ws://127.0.0.1:${port}`)
  upgrade.on('error', () => {})
  const [, response] = (await once(upgrade, 'unexpected-response')) as [unknown, { statusCode: number }]
  assert.equal(response.statusCode, 503)
  upgrade.terminate()
  assert.equal(pulse.snapshot().totals.shed.shed, 4)
})

test('priority is served under critical pressure', async (t) => {
  const { pulse, port } = await start(t, {
    pressure: {
      memory: { limitBytes: process.memoryUsage.rss() * 2.5 },
      warmUpMs: 0,
      enter: [0.1, 0.2],
      leave: [0.05, 0.1],
      priority: ({ url }) => (url === '/vip' ? 1 : 0),
    },
  })
  await until(() => pulse.snapshot().pressure.level === 'critical', 'critical')
  const status = async (path: string) => (await fetch(`http://127.0.0.1:${port}${path}`)).status
  assert.equal(await status('/vip'), 200)
  assert.equal(await status('/'), 503)
})
