import assert from 'node:assert/strict'
import { addAbortListener } from 'node:events'
import { type TestContext, test } from 'node:test'
import { type Peerpulse, type PeerpulseOptions, peerpulse, type Warning } from 'peerpulse'
import { connectRaw, requestRaw } from '../support/raw-peer.js'
import { startServer } from '../support/servers.js'
import { until } from '../support/wait.js'
import { Closes } from '../support/watched.js'

/** What a callback can do beside what it is meant to. An unhandled rejection, or an uncaught exception, fails the test. */
const misdeeds: Record<string, () => unknown> = {
  throws: () => {
    throw new Error('thrown')
  },
  rejects: () => Promise.reject(new Error('rejected')),
  'rejects, without being a Promise': () => thenable((_done, failed) => failed(new Error('rejected'))),
  'has a then that throws': () =>
    thenable(() => {
      throw new Error('thrown')
    }),
  'has a getter that throws for then': () =>
    Object.defineProperty({}, 'then', {
      get() {
        throw new Error('thrown')
      },
    }),
}
/** What is wrong only where something else than nothing is to be returned. */
const wrongAnswers: Record<string, () => unknown> = {
  ...misdeeds,
  'is a promise for true': async () => true,
  'never settles': () => new Promise(() => {}),
  'returns a text': () => 'yes',
  'returns a function': () => () => true,
  'returns null': () => null,
}

function thenable(then: (done: (value: unknown) => void, failed: (error: unknown) => void) => void): unknown {
  return { then }
}

async function watched(t: TestContext, options: PeerpulseOptions) {
  const { server, port } = await startServer(t, (_req, res) => res.end('served'))
  const pulse = peerpulse({ drain: false, ...options })
  t.after(() => pulse.detach())
  const warnings: Warning[] = []
  pulse.on('warning', (warning) => warnings.push(warning))
  pulse.attach(server)
  const counted = () => pulse.snapshot().totals.callbackErrors
  return { pulse, port, warnings, counted, closes: new Closes(pulse) }
}

/** Told of once, by name. */
function assertTold(warnings: Warning[], what: string, times = 1): void {
  const told = warnings.filter(({ code, message }) => {
    assert.equal(code, 'PEERPULSE_WARN_CALLBACK')
    return message.startsWith(`${what} threw: `)
  })
  assert.equal(told.length, times, JSON.stringify(warnings))
}

const pressed = (options: PeerpulseOptions['pressure']): PeerpulseOptions => ({
  pressure: { memory: false, warmUpMs: 0, ...options },
})
const isCritical = (pulse: Peerpulse) =>
  until(() => pulse.snapshot().pressure.level === 'critical', 'the level')

for (const [deed, act] of Object.entries(misdeeds)) {
  test(`an event listener that ${deed} harms nobody, and is told of once`, async (t) => {
    const { pulse, port, warnings, counted, closes } = await watched(t, {})
    const others: number[] = []
    pulse.on('connection:open', act)
    pulse.on('connection:open', () => act())
    pulse.on('connection:open', ({ id }) => others.push(id))
    for (let i = 0; i < 3; i++) {
      const peer = await connectRaw(t, port)
      assert.match(await requestRaw(peer), /served/)
      peer.end()
      await closes.wait(peer.port)
    }
    await until(() => counted() === 6, 'all of them')
    assert.equal(others.length, 3)
    assertTold(warnings, 'connection:open listener', 2)
  })

  test(`a listener for warnings that ${deed} is counted, and not told of itself`, async (t) => {
    const { pulse, port, counted } = await watched(t, {})
    let calls = 0
    pulse.on('warning', () => {
      calls++
      return act()
    })
    pulse.on('connection:open', () => {
      throw new Error('something to tell')
    })
    const told = new Promise<Error & { code?: string }>((resolve) => process.once('warning', resolve))
    await connectRaw(t, port)
    await until(() => counted() === 2, 'both')
    assert.equal(calls, 1)
    assert.match((await told).message, /^warning listener threw: /)
  })

  test(`a logger that ${deed} harms nobody, and is told of once`, async (t) => {
    const log = { debug: act, info: act, warn: act, error: act }
    const { port, warnings, counted, closes } = await watched(t, { log })
    for (let i = 0; i < 3; i++) {
      const peer = await connectRaw(t, port)
      assert.match(await requestRaw(peer), /served/)
      peer.end()
      await closes.wait(peer.port)
    }
    await until(() => counted() === 3, 'all of them')
    assertTold(warnings, 'log')
  })

  test(`a cleanup that ${deed} is called ended, and told of once`, async (t) => {
    const { pulse, port, warnings, counted, closes } = await watched(t, {})
    pulse.on('connection:open', (connection) => void connection.track('ticker', act))
    for (let i = 0; i < 3; i++) {
      const peer = await connectRaw(t, port)
      await requestRaw(peer)
      peer.end()
      await closes.wait(peer.port)
    }
    await until(() => counted() === 3, 'all of them')
    assertTold(warnings, "cleanup of 'ticker'")
    // A drain waits for cleanups that have not settled.
    const report = await pulse.drain()
    assert.equal(report.deadlineExceeded, false)
  })

  test(`a monitor whose stop ${deed} harms nobody`, async (t) => {
    const monitors = [{ name: 'mine', read: () => 0, stop: act as () => void }]
    const { pulse, warnings, counted } = await watched(t, pressed({ monitors }))
    await pulse.detach()
    await until(() => counted() === 1, 'it is counted')
    assertTold(warnings, "monitor 'mine'")
  })

  test(`an abort listener that ${deed} is no uncaught exception`, async (t) => {
    const { pulse, port, warnings, counted, closes } = await watched(t, {})
    const peer = await connectRaw(t, port)
    await requestRaw(peer)
    const [connection] = pulse.connections()
    const signal = connection?.signal ?? assert.fail()
    const heard: string[] = []
    signal.addEventListener('abort', act)
    signal.addEventListener('abort', { handleEvent: act } as never, { once: true })
    signal.onabort = act as () => void
    addAbortListener(signal, () => act())
    signal.addEventListener('abort', () => heard.push('function'))
    signal.addEventListener('abort', { handleEvent: () => heard.push('object') })
    const removed = () => heard.push('removed')
    signal.addEventListener('abort', removed)
    signal.addEventListener('abort', removed)
    signal.removeEventListener('abort', removed)
    signal.addEventListener('abort', null as never)
    AbortSignal.any([signal]).addEventListener('abort', () => heard.push('any'))
    assert.ok(signal instanceof AbortSignal)
    peer.end()
    await closes.wait(peer.port)
    assert.deepEqual(heard, ['function', 'object', 'any'])
    assert.equal(signal.reason.code, 'PEERPULSE_ERR_CONNECTION_CLOSED')
    await until(() => counted() === 4, 'all of them')
    assertTold(warnings, "abort listener of a connection's signal")
  })

  test(`a check whose abort listener ${deed} fails its probe and nothing else`, async (t) => {
    const { pulse, port, counted } = await watched(t, { probes: { checkTimeoutMs: 200 } })
    pulse.addCheck('slow', (signal) => {
      signal.addEventListener('abort', act)
      return new Promise(() => {})
    })
    assert.equal((await fetch(`http://127.0.0.1:${port}/readyz`)).status, 503)
    await until(() => counted() === 1, 'it is counted')
  })
}

for (const [deed, act] of Object.entries(wrongAnswers)) {
  test(`a priority that ${deed} counts as none, and is told of once`, async (t) => {
    const options = pressed({ monitors: [{ name: 'mine', read: () => 0.95 }], priority: act as never })
    const { pulse, port, warnings, counted } = await watched(t, options)
    await isCritical(pulse)
    for (let i = 0; i < 3; i++) assert.equal((await fetch(`http://127.0.0.1:${port}/`)).status, 503)
    await until(() => counted() === 3, 'all of them')
    assertTold(warnings, 'pressure.priority')
  })

  test(`a trust function that ${deed} trusts nobody, and is told of once`, async (t) => {
    const { port, warnings, counted, closes } = await watched(t, { limits: { trustProxy: act as never } })
    for (let i = 0; i < 3; i++) {
      const headers = { 'X-Forwarded-For': '203.0.113.9', Connection: 'close' }
      assert.equal((await fetch(`http://127.0.0.1:${port}/`, { headers })).status, 200)
    }
    await until(() => closes.all.length === 3, 'the closes')
    for (const { connection } of closes.all) assert.equal(connection.remoteAddress, 'unknown')
    await until(() => counted() === 3, 'all of them')
    assertTold(warnings, 'limits.trustProxy')
  })

  test(`a details function that ${deed} shows none, and is told of once`, async (t) => {
    const { port, warnings, counted } = await watched(t, { probes: { details: act as never } })
    for (let i = 0; i < 3; i++) {
      const answer = await fetch(`http://127.0.0.1:${port}/readyz`)
      assert.deepEqual(await answer.json(), { status: 'pass' })
    }
    await until(() => counted() === 3, 'all of them')
    assertTold(warnings, 'probes.details')
  })

  test(`a monitor that ${deed} when it is read is not read any more`, async (t) => {
    let reads = 0
    const read = () => {
      reads++
      return act() as number
    }
    const other = { name: 'other', read: () => 0.95 }
    const options = pressed({ monitors: [{ name: 'mine', read }, other], actions: false })
    const { pulse, warnings, counted } = await watched(t, options)
    await isCritical(pulse)
    await until(() => pulse.snapshot().uptimeMs > 1_500, 'several readings')
    assert.equal(reads, 1)
    assert.equal(counted(), 1)
    assertTold(warnings, "monitor 'mine'")
  })

  test(`a monitor whose describe ${deed} is shown without it`, async (t) => {
    const monitors = [{ name: 'mine', read: () => 0.2, describe: act as () => Record<string, number> }]
    const { pulse, warnings } = await watched(t, pressed({ monitors }))
    await until(() => pulse.snapshot().pressure.monitors.mine?.pressure === 0.2, 'a reading')
    assert.deepEqual(pulse.snapshot().pressure.monitors.mine, { pressure: 0.2 })
    assertTold(warnings, "monitor 'mine'")
  })
}

test('a listener for warnings that brings about more of them is not called for ever', async (t) => {
  const { pulse, port, counted } = await watched(t, {})
  pulse.on('warning', () => {
    pulse.snapshot()
    throw new Error('again')
  })
  pulse.on('connection:open', () => {
    throw new Error('first')
  })
  await connectRaw(t, port)
  await until(() => counted() === 2, 'both')
})
