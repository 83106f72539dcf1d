import assert from 'node:assert/strict'
import { Writable } from 'node:stream'
import { test } from 'node:test'
import { inspect } from 'node:util'
import { type CloseReason, type Logger, peerpulse } from 'peerpulse'
import { pino } from 'pino'
import { Clock } from '../../lib/core/clock.js'
import { closeReasons } from '../../lib/core/close-reason.js'
import { CloseLog } from '../../lib/insight/close-log.js'
import { FakeTime } from '../core/fake-time.js'
import { openSocket, openWebSocket, readAll, start } from '../policies/support.js'
import { connectRaw, requestRaw } from '../support/raw-peer.js'
import { startServer } from '../support/servers.js'
import { until } from '../support/wait.js'

const evidence = { phase: 'established', ageMs: 0, silentMs: 0, idleMs: 0, level: 'normal', stalledMs: 0 }

type Line = Record<string, unknown> & { level: number; msg: string }

function logger(level = 'info'): {
  log: ReturnType<typeof pino>
  raw: string[]
  lines(event: string): Line[]
} {
  const raw: string[] = []
  const stream = new Writable({
    write(chunk, _, done) {
      raw.push(String(chunk))
      done()
    },
  })
  return {
    log: pino({ level }, stream),
    raw,
    lines: (event) => raw.map((line) => JSON.parse(line) as Line).filter((line) => line.event === event),
  }
}

test('one line a close, whose fields do not collide with those of pino', async (t) => {
  const { log, raw, lines } = logger()
  const { port } = await start(t, { log })
  const client = await openWebSocket(t, port)
  const { _socket: socket } = client as unknown as { _socket: { resetAndDestroy(): void } }
  socket.resetAndDestroy()
  await until(() => lines('connection:close').length === 1, 'a line')
  const [line] = lines('connection:close')
  assert.equal(line?.level, 40)
  assert.equal(line?.reason, 'peer-reset')
  assert.match(
    line?.msg ?? '',
    /^peerpulse: connection \d+ \(websocket, 127\.0\.0\.1\) closed: peer-reset, ECONNRESET; in phase established, open \d/,
  )
  // Behind the evidence's opening everything is nested; before it and after it each name stands once.
  const flat = (raw[0] ?? '').replace(/"evidence":\{[^}]*\}/, '')
  for (const name of ['level', 'time', 'msg']) assert.equal(flat.split(`"${name}":`).length, 2, name)
})

/** Lets the window of the log pass. */
function log(logger: Logger) {
  const time = new FakeTime()
  const closes: {
    note(reason: CloseReason, protocol?: string, terminated?: boolean): void
    pass(ms: number): void
  } = {
    note: (closeReason, protocol = 'websocket', terminated = false) =>
      recorded.note({
        id: 1,
        protocol,
        remoteAddress: '203.0.113.7',
        closeReason,
        evidence,
        endNotes: { terminated },
      } as never),
    pass(ms) {
      time.pass(ms)
      recorded.flush()
    },
  }
  const clock = new Clock(() => {}, time)
  clock.start()
  const recorded = new CloseLog(logger, clock)
  return { ...closes, recorded }
}

test('in a storm lines are held back, by level, and summed up', () => {
  const { log: to, lines } = logger()
  const { note, pass } = log(to)
  pass(10_000)
  for (let i = 0; i < 130; i++) note('peer-reset')
  for (let i = 0; i < 7; i++) note('half-open')
  for (let i = 0; i < 120; i++) note('peer-closed')
  const count = (level: number) => lines('connection:close').filter((line) => line.level === level).length
  assert.equal(count(40), 100, 'a hundred that alarm')
  assert.equal(count(30), 100, 'and a hundred others')
  pass(10_000)
  assert.deepEqual(
    lines('connection:close')
      .slice(200)
      .map(({ level, reasons, msg }) => [level, reasons, msg]),
    [
      [30, { 'peer-closed': 20 }, 'more connections closed in 10.0 s, without a line each: 20 x peer-closed'],
      [
        40,
        { 'peer-reset': 30, 'half-open': 7 },
        'more connections closed in 10.0 s, without a line each: 30 x peer-reset, 7 x half-open',
      ],
    ],
  )
  note('peer-reset')
  pass(10_000)
  assert.equal(lines('connection:close').length, 203, 'the next window has lines of its own, and no sum')
})

test('the level is that of the reason: what alarms, the ordinary end of an HTTP connection, and the rest', () => {
  const { log: to, lines } = logger('debug')
  const { note } = log(to)
  const alarming =
    'half-open peer-reset slow-consumer shed limit protocol-error server-error handshake-timeout'.split(' ')
  const ordinary = 'peer-closed server-closed idle-timeout lifetime drain'.split(' ')
  for (const reason of Object.keys(closeReasons) as CloseReason[])
    for (const protocol of ['http1', 'sse', 'websocket', 'upgraded']) {
      note(reason, protocol)
      const isOrdinary = ordinary.includes(reason) && protocol === 'http1'
      const level = alarming.includes(reason) ? 40 : isOrdinary ? 20 : 30
      assert.equal(lines('connection:close').at(-1)?.level, level, `${reason} of ${protocol}`)
    }
  // One that was cut did not end in order.
  note('drain', 'http1', true)
  assert.equal(lines('connection:close').at(-1)?.level, 30)
})

test("a logger without debug, or with it off, is not told of ordinary ends, and they take nobody's line", () => {
  const told: string[] = []
  const write = (_: object, message: string) => void told.push(message)
  const { log: to, raw } = logger('info')
  for (const each of [{ info: write, warn: write, error: write }, to]) {
    const { note, pass } = log(each)
    for (let i = 0; i < 500; i++) note('peer-closed', 'http1')
    pass(10_000)
    note('peer-ended', 'http1')
  }
  assert.equal(told.length, 1)
  assert.equal(raw.length, 1)
})

test('refusals are one line in ten seconds, as a list of fields, those at accept among them', () => {
  const { log: to, lines } = logger()
  const { recorded, pass } = log(to)
  pass(10_000)
  const shed = {
    what: 'request',
    reason: 'shed',
    status: 503,
    remoteAddress: '203.0.113.7',
    dryRun: false,
  } as const
  for (let i = 0; i < 300; i++) recorded.noteShed({ ...shed, detail: `level critical, rss at ${i % 100} %` })
  const cut = { what: 'connection', reason: 'limit', status: undefined, detail: 'too many' } as const
  recorded.noteShed({ ...shed, ...cut })
  recorded.noteShed({ ...shed, detail: 'in vain', dryRun: true })
  pass(10_000)
  const [line, none] = lines('shed')
  assert.equal(none, undefined)
  assert.deepEqual(line?.refused, [
    {
      what: 'request',
      reason: 'shed',
      status: 503,
      dryRun: false,
      detail: 'level critical, rss at 99 %',
      count: 300,
    },
    { what: 'connection', reason: 'limit', dryRun: false, detail: 'too many', count: 1 },
    { what: 'request', reason: 'shed', status: 503, dryRun: true, detail: 'in vain', count: 1 },
  ])
  assert.equal(
    line?.msg,
    'refused in 10.0 s: 300 x request (shed: level critical, rss at 99 %), 1 x connection (limit: too many), ' +
      '1 x request (shed: in vain, dry run)',
  )
})

test('what waits for a sum is told before the process may exit', async (t) => {
  const { log, lines } = logger()
  const { pulse, port } = await start(t, {
    log,
    limits: { maxConnections: 1 },
    drain: { signals: [], readinessDelayMs: 0, spreadMs: 0 },
  })
  const held = await openSocket(t, port)
  // The first tick has ended the first window.
  await until(() => pulse.snapshot().uptimeMs > 300, 'a tick')
  assert.equal((await fetch(`http://127.0.0.1:${port}/`)).status, 503)
  held.destroy()
  await pulse.drain()
  assert.match(String(lines('shed')[0]?.msg), /^peerpulse: refused in \d\.\d s: 1 x request \(limit: /)
})

test('a check that fails is a line, and one when it passes again; that it passes from the start is none', async (t) => {
  const { log, lines } = logger()
  const { pulse, port } = await start(t, { log, probes: { cacheMs: 0 } })
  let answer = true
  const database = () => {
    if (!answer) throw new Error('no connection')
  }
  pulse.addCheck('database', database)
  pulse.addCheck('mail', () => answer, { soft: true })
  for (const next of [true, false, false, true]) {
    answer = next
    await (await fetch(`http://127.0.0.1:${port}/readyz`)).text()
  }
  const told = lines('check:change').map(({ level, msg }) => [level, msg])
  assert.deepEqual(told, [
    [40, 'peerpulse: check database of readyz fails: no connection'],
    [40, 'peerpulse: check mail of readyz fails (the probe passes all the same): the check answered false'],
    [30, 'peerpulse: check database of readyz passes again'],
    [30, 'peerpulse: check mail of readyz passes again'],
  ])
})

test('every line says whose it is, whatever it is about', async (t) => {
  const { log, raw } = logger('debug')
  const monitor = { name: 'dial', read: () => dial }
  let dial = 0
  const { pulse, port } = await start(t, {
    log,
    limits: { maxConnections: 1 },
    pressure: { memory: false, monitors: [monitor], warmUpMs: 0 },
    drain: { signals: [], readinessDelayMs: 0, spreadMs: 0 },
  })
  pulse.on('connection:open', () => {
    throw new Error('a listener that throws')
  })
  const held = await Promise.all([openSocket(t, port), openSocket(t, port)])
  await readAll(await openSocket(t, port))
  dial = 0.99
  await until(() => pulse.snapshot().pressure.level === 'critical', 'critical')
  for (const socket of held) socket.destroy()
  await until(() => raw.some((line) => line.includes('"event":"shed"')), 'the line about what was refused')
  await pulse.drain()
  const events = new Set(raw.map((line) => (JSON.parse(line) as Line).event))
  assert.deepEqual([...events].sort(), [
    'connection:close',
    'drain:phase',
    'pressure:level',
    'shed',
    'warning',
  ])
  for (const line of raw) assert.match((JSON.parse(line) as Line).msg, /^peerpulse: (?!peerpulse)/)
})

test('a connection prints and serialises without its insides', async (t) => {
  const { pulse, port } = await start(t, {})
  await openWebSocket(t, port)
  const [connection] = pulse.connections()
  const plain = JSON.parse(JSON.stringify(connection)) as Record<string, unknown>
  assert.equal(plain.protocol, 'websocket')
  assert.equal(plain.socket, undefined)
  assert.ok(inspect(connection).length < 1_000)
})

test('a reset before the first byte, as of a balancer that checks the port, is told at debug', async (t) => {
  const told: { level: string; reason: unknown }[] = []
  const at = (level: string) => (fields: object) => {
    if ('reason' in fields) told.push({ level, reason: fields.reason })
  }
  const pulse = peerpulse({
    drain: false,
    log: { debug: at('debug'), info: at('info'), warn: at('warn'), error: at('error') },
  })
  t.after(() => pulse.detach())
  const { port } = await startServer(t, (_, res) => void res.end(), {
    prepare: (server) => pulse.attach(server),
  })
  const checker = await connectRaw(t, port)
  await until(() => [...pulse.connections()].length === 1, 'the connection')
  checker.reset()
  await until(() => told.length === 1, 'the first line')
  const client = await connectRaw(t, port)
  await requestRaw(client)
  client.reset()
  await until(() => told.length === 2, 'the second line')
  assert.deepEqual(told, [
    { level: 'debug', reason: 'peer-reset' },
    { level: 'warn', reason: 'peer-reset' },
  ])
})
