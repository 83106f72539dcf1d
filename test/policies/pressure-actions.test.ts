import assert from 'node:assert/strict'
import { once } from 'node:events'
import { request } from 'node:http'
import { test } from 'node:test'
import { type Monitor, type PeerpulseOptions, type PressureChange, peerpulse } from 'peerpulse'
import type { PeerConnection } from '../../lib/core/connection.js'
import { defaults } from '../../lib/core/defaults.js'
import { Pressure } from '../../lib/policies/pressure.js'
import { PressureAction } from '../../lib/policies/pressure-actions.js'
import type { ResolvedPressure } from '../../types/options.js'
import { until } from '../support/wait.js'
import { isWebSocket, openSocket, openWebSocket, readAll, start } from './support.js'

type Actions = Exclude<NonNullable<Exclude<PeerpulseOptions['pressure'], false>>['actions'], undefined>

/** A monitor that reads what the test says. */
class Dial implements Monitor {
  readonly name = 'dial'
  value = 0
  read(): number {
    return this.value
  }
}

const off: Actions = {
  closeConnections: false,
  shortenTimeouts: false,
  refuseUpgrades: false,
  refuseRequests: false,
  pauseReading: false,
  evict: false,
}

/** The options for a pulse that only does what the test asks for, and obeys the dial. */
function dialled(dial: Monitor, actions: Actions, more: PeerpulseOptions = {}): PeerpulseOptions {
  return {
    ...more,
    pressure: {
      memory: false,
      warmUpMs: 0,
      dwellMs: 0,
      monitors: [dial],
      actions: { ...off, ...(actions || {}) },
    },
  }
}

const resolved = {
  ...defaults.pressure,
  monitors: [],
  enter: [0.8, 0.92],
  leave: [0.7, 0.85],
} as ResolvedPressure

// Thresholds ---------------------------------------------------------------------------------------

function fakeAction(threshold: number | 'elevated' | 'critical' | false) {
  const dial = new Dial()
  const pressure = new Pressure(
    { ...resolved, warmUpMs: 0 },
    [dial],
    () => {},
    () => {},
  )
  const action = new PressureAction(threshold, resolved)
  return {
    action,
    at(value: number, now: number): boolean {
      dial.value = value
      pressure.update(now)
      action.update(pressure, now, resolved.dwellMs)
      return action.active
    },
  }
}

test('an action with a level comes and goes with it; one with a number has its own hysteresis and dwell', () => {
  const critical = fakeAction('critical')
  assert.equal(critical.at(0.9, 0), false)
  assert.equal(critical.at(0.92, 500), true)
  assert.equal(critical.at(0.86, 9_000), true, 'it ended above the leave threshold')
  assert.equal(critical.at(0.84, 9_500), false)

  const own = fakeAction(0.5)
  assert.equal(own.at(0.49, 0), false)
  assert.equal(own.at(0.5, 500), true)
  assert.equal(own.at(0.1, 5_000), true, 'it ended before the dwell')
  assert.equal(own.at(0.41, 6_000), true, 'it ended above its leave threshold, 0.4')
  assert.equal(own.at(0.39, 6_500), false)

  assert.equal(fakeAction(false).at(1, 0), false)
})

test('five minutes of a load that swings 5 % around a threshold change nothing more than once a dwell', () => {
  const dial = new Dial()
  const changes: number[] = []
  let now = 0
  const pressure = new Pressure(
    { ...resolved, warmUpMs: 0 },
    [dial],
    () => changes.push(now),
    () => {},
  )
  const actions = ['elevated', 'critical', 0.85, 0.96].map((at) => new PressureAction(at as number, resolved))
  const turned = actions.map(() => [] as number[])
  for (const centre of [...resolved.enter, ...resolved.leave, 0.96]) {
    for (const end = now + 300_000; now < end; now += 500) {
      dial.value = centre * (1 + 0.05 * Math.sin(now / 700))
      pressure.update(now)
      for (const [i, action] of actions.entries()) {
        const before = action.active
        action.update(pressure, now, resolved.dwellMs)
        if (action.active !== before) turned[i]?.push(now)
      }
    }
  }
  assert.ok(changes.length > 0, 'nothing ever changed: the test sees nothing')
  // Up is at once, as memory does not wait; a way down and up again takes a dwell.
  for (const times of [changes, ...turned]) {
    for (let i = 2; i < times.length; i++) {
      const forth = (times[i] as number) - (times[i - 2] as number)
      assert.ok(forth >= resolved.dwellMs, `changed twice in ${forth} ms`)
    }
  }
})

test('wrong actions and monitors are refused by their path', () => {
  const problem = (pressure: object) => {
    try {
      peerpulse({ pressure })
    } catch (error) {
      return (error as Error).message
    }
    return 'accepted'
  }
  assert.match(
    problem({ actions: { evct: 0.9 } }),
    /pressure\.actions\.evct: .*did you mean pressure\.actions\.evict/,
  )
  assert.match(problem({ actions: { evict: 2 } }), /pressure\.actions\.evict: must be 'elevated'/)
  assert.match(problem({ actions: 'none' }), /pressure\.actions: must be false, or an object/)
  assert.match(problem({ monitors: [{ name: 'x' }] }), /pressure\.monitors\.0\.read: must be a function/)
  const twice = { name: 'x', read: () => 0 }
  assert.match(problem({ monitors: [twice, twice] }), /pressure\.monitors/)
  assert.deepEqual(
    peerpulse({ pressure: { actions: false } }).config.pressure &&
      Object.values(
        (peerpulse({ pressure: { actions: false } }).config.pressure as ResolvedPressure).actions,
      ),
    [false, false, false, false, false, false],
  )
})

// Monitors of the user's -----------------------------------------------------------------------------

test('a monitor of the user raises the level, takes the place of a standard one, and is told of once when it is broken', async (t) => {
  const rss: Monitor = { name: 'rss', read: () => 0.5, describe: () => ({ unit: 'mine' }) }
  const nonsense = { name: 'nonsense', read: () => 'high' } as unknown as Monitor
  const over: Monitor = {
    name: 'queue',
    read: () => 7,
    describe: () => assert.fail('no words'),
    stop: () => assert.fail('no end'),
  }
  const warnings: string[] = []
  const { pulse } = await start(t, {
    pressure: { warmUpMs: 0, monitors: [rss, nonsense, over], actions: false },
  })
  pulse.on('warning', ({ message }) => warnings.push(message))
  const [change] = await Promise.all([
    new Promise<PressureChange>((resolve) => void pulse.once('pressure:level', resolve)),
    until(() => warnings.length > 0, 'the warning'),
  ])
  assert.equal(change.monitor, 'queue')
  assert.equal(change.pressure, 1, 'a reading above 1 counts as 1')
  const { monitors, actions } = pulse.snapshot().pressure
  assert.deepEqual(monitors.rss, { pressure: 0.5, unit: 'mine' })
  assert.equal(monitors.nonsense?.pressure, undefined)
  assert.equal(actions.refuseRequests?.active, false)
  assert.deepEqual(monitors.queue, { pressure: 1 })
  assert.match(
    warnings[0] as string,
    /monitor 'nonsense' threw: .*must return a number from 0 to 1.*; it is not read any more$/,
  )
})

// The door ----------------------------------------------------------------------------------------

test('from its threshold on, responses are the last of their connection; probes and other responses are not touched', async (t) => {
  const dial = new Dial()
  const { pulse, port, closing } = await start(t, dialled(dial, { closeConnections: 'elevated' }))
  const get = 'GET / HTTP/1.1\r\nHost: x\r\n\r\n'
  const before = await openSocket(t, port)
  before.write(get)
  assert.doesNotMatch(String((await once(before, 'data'))[0]), /Connection: close/)
  dial.value = 0.85
  await until(() => pulse.snapshot().pressure.actions.closeConnections?.active, 'the action')
  const probe = await openSocket(t, port)
  probe.write('GET /livez HTTP/1.1\r\nHost: x\r\n\r\n')
  assert.doesNotMatch(String((await once(probe, 'data'))[0]), /Connection: close/)
  before.write(get)
  assert.match(await readAll(before), /^HTTP\/1\.1 200 .*\r\nConnection: close\r\n/is)
  // It was served, so nothing was shed.
  assert.equal((await closing()).closeReason, 'server-closed')
  assert.equal(pulse.snapshot().totals.closed.shed, undefined)
  assert.equal(pulse.snapshot().pressure.actions.closeConnections?.count, 1)
})

test('requests are refused in the order of their priority', async (t) => {
  const dial = new Dial()
  const options = dialled(dial, { refuseRequests: 'critical' })
  const { pulse, port } = await start(t, {
    pressure: { ...(options.pressure as object), priority: ({ url }) => Number(url?.slice(1)) },
  })
  const status = async (priority: number) => (await fetch(`http://127.0.0.1:${port}/${priority}`)).status
  const served = async (pressure: number) => {
    dial.value = pressure
    await until(() => pulse.snapshot().pressure.monitors.dial?.pressure === pressure, `pressure ${pressure}`)
    const statuses: number[] = []
    for (const priority of [-1, 0, 1, 2, Number.POSITIVE_INFINITY]) statuses.push(await status(priority))
    return statuses.map((code) => code === 200)
  }
  assert.deepEqual(await served(0.5), [true, true, true, true, true])
  assert.deepEqual(await served(0.85), [false, true, true, true, true])
  assert.deepEqual(await served(0.93), [false, false, true, true, true])
  assert.deepEqual(await served(0.965), [false, false, false, true, true])
  assert.deepEqual(await served(1), [false, false, false, false, true])
})

// Timeouts ----------------------------------------------------------------------------------------

test('idle and heartbeat timeouts shrink with the pressure, also those that were set before', async (t) => {
  const dial = new Dial()
  const { pulse, port, closing } = await start(
    t,
    dialled(
      dial,
      { shortenTimeouts: 'elevated' },
      {
        idle: { websocketMs: 12_000 },
        heartbeat: { intervalMs: 24_000, timeoutMs: 24_000 },
      },
    ),
  )
  await openWebSocket(t, port)
  await until(() => [...pulse.connections()].some(isWebSocket), 'the WebSocket')
  dial.value = 1
  const idle = await closing(isWebSocket)
  assert.equal(pulse.snapshot().pressure.timeoutScale, 0.25)
  assert.equal(idle.closeReason, 'idle-timeout')
  assert.ok(
    (idle.evidence?.idleMs ?? 0) >= 3_000 && (idle.evidence?.idleMs ?? 0) < 11_000,
    `${idle.evidence?.idleMs}`,
  )
  dial.value = 0
  await until(() => pulse.snapshot().pressure.timeoutScale === 1, 'the timeouts as they were')
})

test('a dead peer is found sooner', async (t) => {
  const dial = new Dial()
  dial.value = 1
  const { port, closing } = await start(
    t,
    dialled(dial, { shortenTimeouts: 'elevated' }, { heartbeat: { intervalMs: 8_000, timeoutMs: 8_000 } }),
  )
  const client = await openWebSocket(t, port)
  client.pause()
  const dead = await closing(isWebSocket)
  assert.equal(dead.closeReason, 'half-open')
  assert.ok((dead.evidence?.silentMs ?? 0) < 15_000, `found after ${dead.evidence?.silentMs} ms`)
})

// Reading -----------------------------------------------------------------------------------------

test('the heaviest senders are paused in turn, are not judged silent, and lose nothing', async (t) => {
  const dial = new Dial()
  dial.value = 0.95
  const { pulse, port, wss, closed } = await start(
    t,
    dialled(dial, { pauseReading: 'critical' }, { heartbeat: { intervalMs: 500, timeoutMs: 500 } }),
  )
  let received = 0
  wss.on('connection', (webSocket) =>
    webSocket.on('message', (data) => (received += (data as Buffer).length)),
  )
  const heavy = await openWebSocket(t, port)
  const light = await openWebSocket(t, port)
  const message = Buffer.alloc(64 * 1024, 1)
  let sent = 0
  let goes = true
  const pump = (): void => {
    if (!goes) return
    while (heavy.bufferedAmount < 4 * message.length) {
      heavy.send(message)
      sent += message.length
    }
    setTimeout(pump, 5)
  }
  pump()
  await until(() => pulse.snapshot().pressure.paused === 1, 'a pause')
  const [heavyConnection, lightConnection] = [...pulse.connections()] as PeerConnection[]
  assert.equal(heavyConnection?.extras?.readPaused, true)
  assert.notEqual(lightConnection?.extras?.readPaused, true, 'one who sends little was paused')
  assert.equal([...wss.clients][0]?.isPaused, false, 'what the app is told of is its own pause')
  // A pause is bounded, and everyone gets another turn.
  await until(() => pulse.snapshot().pressure.paused === 0, 'the end of the pause')
  await until(() => (pulse.snapshot().pressure.actions.pauseReading?.count ?? 0) >= 2, 'a second turn')
  goes = false
  dial.value = 0
  await until(() => received === sent, 'all of it')
  await until(() => pulse.snapshot().pressure.paused === 0, 'the end of the last pause')
  assert.deepEqual(closed, [], 'somebody was closed')
  light.terminate()
})

test('a paused WebSocket is read again when it is closed, and at detach; one that the app paused is left alone', async (t) => {
  const dial = new Dial()
  const { pulse, port, wss, closing } = await start(t, dialled(dial, { pauseReading: 'critical' }))
  const client = await openWebSocket(t, port)
  const [connection] = [...pulse.connections()] as PeerConnection[]
  const [webSocket] = [...wss.clients]
  assert.ok(connection !== undefined && webSocket !== undefined)
  assert.equal(connection.pauseReading(), true)
  assert.equal(connection.pauseReading(), false, 'paused twice')
  connection.close('server-closed')
  await once(client, 'close')
  assert.equal((await closing()).closeReason, 'server-closed')
  assert.ok((await closing()).evidence?.webSocketCode, 'its close frame was not read')

  const second = await openWebSocket(t, port)
  const [other] = [...wss.clients].filter((candidate) => candidate !== webSocket)
  other?.pause()
  const [known] = ([...pulse.connections()] as PeerConnection[]).filter(({ state }) => state === 'open')
  assert.equal(known?.pauseReading(), false)
  known?.resumeReading()
  assert.equal(other?.isPaused, true, "the app's own pause was undone")
  other?.resume()
  second.terminate()
})

test('a request body is paused too, and comes whole', async (t) => {
  const dial = new Dial()
  dial.value = 0.95
  let received = 0
  const { pulse, port } = await start(t, dialled(dial, { pauseReading: 'critical' }), (req, res) => {
    req.on('data', (chunk: Buffer) => (received += chunk.length))
    req.on('end', () => res.end('done'))
  })
  const post = request({ port, host: '127.0.0.1', method: 'POST' })
  const answered = once(post, 'response')
  const chunk = Buffer.alloc(64 * 1024, 1)
  let sent = 0
  let goes = true
  const pump = (): void => {
    if (!goes) return
    while (post.writableLength < 4 * chunk.length) {
      post.write(chunk)
      sent += chunk.length
    }
    setTimeout(pump, 5)
  }
  pump()
  await until(() => pulse.snapshot().pressure.paused === 1, 'a pause')
  goes = false
  post.end()
  dial.value = 0
  await answered
  assert.equal(received, sent)
})

test('detach has everybody read again', async (t) => {
  const dial = new Dial()
  dial.value = 0.95
  const { pulse, port, wss } = await start(t, dialled(dial, { pauseReading: 'critical' }))
  const client = await openWebSocket(t, port)
  const timer = setInterval(() => {
    if (client.bufferedAmount < 1_000_000) client.send(Buffer.alloc(200_000))
  }, 10)
  t.after(() => clearInterval(timer))
  await until(() => pulse.snapshot().pressure.paused === 1, 'a pause')
  await pulse.detach()
  let messages = 0
  for (const webSocket of wss.clients) webSocket.on('message', () => messages++)
  await until(() => messages > 10, 'messages')
})

// Evictions ---------------------------------------------------------------------------------------

test('the heaviest slow consumers go first, then those idle longest; who had traffic stays', async (t) => {
  const dial = new Dial()
  const { pulse, port, wss, closed } = await start(
    t,
    dialled(dial, { evict: 0.96 }, { budget: { stalledMs: 600_000, totalBytes: 256 * 1024 * 1024 } }),
  )
  const slow = await openWebSocket(t, port)
  slow.pause()
  const [slowServer] = [...wss.clients]
  for (let i = 0; i < 12; i++) slowServer?.send(Buffer.alloc(1024 * 1024))
  const idle = await openWebSocket(t, port)
  const busy = await openWebSocket(t, port)
  const [slowConnection, idleConnection, busyConnection] = [...pulse.connections()] as PeerConnection[]
  assert.ok(slowConnection && idleConnection && busyConnection)
  await until(() => slowConnection.congested, 'the backlog')
  // Nobody has been idle for 10 s yet: one is made to look so.
  idleConnection.active -= 20_000
  dial.value = 0.97
  await until(() => slowConnection.state !== 'open', 'the eviction of the slow one')
  assert.equal(idleConnection.state, 'open', 'the idle one went with it')
  await until(() => closed.length === 2, 'both')
  assert.equal(slowConnection.closeReason, 'slow-consumer')
  assert.equal(idleConnection.closeReason, 'shed')
  assert.equal(busyConnection.state, 'open')
  assert.equal(pulse.snapshot().pressure.actions.evict?.count, 2)
  idle.terminate()
  busy.terminate()
})

test('a dry run counts, tells and touches nobody', async (t) => {
  const dial = new Dial()
  dial.value = 1
  const { pulse, port, closed, wss } = await start(t, {
    ...dialled(dial, {
      closeConnections: 'elevated',
      refuseUpgrades: 'elevated',
      refuseRequests: 'critical',
      pauseReading: 'critical',
      evict: 0.96,
    }),
    dryRun: true,
  })
  pulse.on('warning', () => {})
  await until(() => pulse.snapshot().pressure.level === 'critical', 'critical')
  const client = await openWebSocket(t, port)
  const timer = setInterval(() => {
    if (client.bufferedAmount < 1_000_000) client.send(Buffer.alloc(200_000))
  }, 10)
  t.after(() => clearInterval(timer))
  const answer = await fetch(`http://127.0.0.1:${port}/`)
  assert.equal(answer.status, 200)
  assert.notEqual(answer.headers.get('connection'), 'close')
  assert.equal((await fetch(`http://127.0.0.1:${port}/`)).status, 200)
  const count = (action: 'pauseReading' | 'evict' | 'closeConnections') =>
    pulse.snapshot().pressure.actions[action]?.count ?? 0
  assert.ok(count('closeConnections') <= 1, 'a connection is counted once')
  for (const connection of pulse.connections()) (connection as PeerConnection).active -= 20_000
  await until(() => count('pauseReading') > 1, 'two pauses that are only told, a turn apart')
  assert.ok(count('evict') <= [...pulse.connections()].length, 'a connection is counted once')
  assert.equal([...wss.clients][0]?.isPaused, false)
  assert.equal(client.readyState, client.OPEN)
  // The client's pool may let go of a connection by itself.
  assert.deepEqual(
    closed.filter(({ closeReason }) => closeReason !== 'peer-closed'),
    [],
  )
  assert.ok((pulse.snapshot().totals.dryRun.shed ?? 0) >= 1)
})

// Early warning -----------------------------------------------------------------------------------

test('a change of level tells who holds the memory, in the event and in the log', async (t) => {
  const dial = new Dial()
  const lines: string[] = []
  const log = {
    info: () => {},
    warn: (_: object, message: string) => void lines.push(message),
    error: () => {},
  }
  const { pulse, port, wss } = await start(t, {
    ...dialled(dial, {}, { budget: { stalledMs: 600_000, totalBytes: 256 * 1024 * 1024 } }),
    log,
  })
  for (let i = 0; i < 7; i++) (await openWebSocket(t, port)).pause()
  for (const [i, client] of [...wss.clients].entries()) {
    for (let n = 0; n < 8 + i; n++) client.send(Buffer.alloc(1024 * 1024))
  }
  await until(() => pulse.snapshot().connections.congested === 7, 'seven backlogs')
  const changed = new Promise<PressureChange>((resolve) => void pulse.once('pressure:level', resolve))
  dial.value = 0.85
  const { holders } = await changed
  assert.equal(holders.length, 5)
  const [first, second] = holders
  assert.ok(
    first && second && first.bufferedBytes >= second.bufferedBytes && second.bufferedBytes > 1024 * 1024,
  )
  assert.equal(first.protocol, 'websocket')
  assert.equal(first.remoteAddress, '127.0.0.1')
  const line = lines.find((text) =>
    text.startsWith('peerpulse: pressure is elevated (was normal): dial at 85 %'),
  )
  assert.match(
    line ?? '',
    /most outbound bytes: connection \d+ \(websocket, 127\.0\.0\.1\) \d+\.\d MiB, open for \d+ s; /,
  )
})
