import assert from 'node:assert/strict'
import { once } from 'node:events'
import { Agent, get, type IncomingMessage } from 'node:http'
import { connect } from 'node:net'
import { test } from 'node:test'
import tls from 'node:tls'
import { type DrainStep, peerpulse } from 'peerpulse'
import { WebSocket } from 'ws'
import { deafen } from '../scenarios/support.js'
import { request } from '../support/frames.js'
import { connectRaw } from '../support/raw-peer.js'
import { startServer } from '../support/servers.js'
import { pause, until } from '../support/wait.js'
import { openSocket, openWebSocket, start } from './support.js'

const quick = { signals: [], readinessDelayMs: 200, spreadMs: 200, closeTimeoutMs: 300, deadlineMs: 2_000 }

test('a drain over every protocol, and its report', async (t) => {
  const { pulse, server, port } = await start(t, { drain: quick }, (req, res) => {
    if (req.url !== '/stream') return void res.end('hello')
    res.writeHead(200, { 'Content-Type': 'text/event-stream' })
    res.write('data: 1\n\n')
  })
  const steps: DrainStep[] = []
  pulse.on('drain:phase', (step) => steps.push(step))
  const client = await openWebSocket(t, port)
  const deaf = await openWebSocket(t, port)
  deafen(deaf)
  const preconnected = await openSocket(t, port)
  preconnected.resume()
  const stream = await fetch(`http://127.0.0.1:${port}/stream`)
  const goodbye = once(client, 'close')
  const unused = once(preconnected, 'close')

  const draining = pulse.drain('test')
  assert.equal(pulse.drain('again'), draining, 'draining twice is one drain')
  assert.equal(pulse.snapshot().draining, true)
  assert.match(await stream.text(), /\nretry: \d+\n$/)
  assert.equal(((await goodbye) as [number])[0], 1012)
  await unused
  const report = await draining
  assert.equal(server.listening, false)
  assert.equal(report.why, 'test')
  assert.equal(report.deadlineExceeded, false)
  assert.deepEqual(report.connections.websocket, { closed: 1, terminated: 1 })
  assert.deepEqual(report.connections.sse, { closed: 1, terminated: 0 })
  const { firstMs = 0, lastMs = 0, ...ended } = report.ends.websocket ?? {}
  assert.deepEqual(ended, { onTheirOwn: 0, onOurWord: 1, unanswered: 1, cutOff: 0 })
  assert.ok(firstMs >= 200 && lastMs >= firstMs && lastMs <= report.durationMs, `${firstMs}, ${lastMs}`)
  assert.deepEqual(report.cut, [])
  assert.equal(report.connections.http1?.terminated, 0)
  assert.deepEqual(
    steps.map(({ phase }) => phase),
    ['delay', 'closing', 'done'],
  )
  assert.ok((report.phases.delay ?? 0) >= 200)
})

test('after the delay, and while anybody is left, upgrades get 503 with the reason and requests are served', async (t) => {
  let finish: (() => void) | undefined
  const { pulse, server, port } = await start(
    t,
    { drain: { ...quick, readinessDelayMs: 0, deadlineMs: 20_000 } },
    (req, res) => {
      if (req.url === '/') res.end('served')
      else finish = () => res.end('done')
    },
  )
  const slow = fetch(`http://127.0.0.1:${port}/slow`)
  await until(() => finish !== undefined, 'the request is there')
  const draining = pulse.drain()
  assert.equal(await (await fetch(`http://127.0.0.1:${port}/`)).text(), 'served')
  const upgrade = new WebSocket(`ws://127.0.0.1:${port}`)
  upgrade.on('error', () => {})
  const [, response] = (await once(upgrade, 'unexpected-response')) as [unknown, IncomingMessage]
  assert.equal(response.statusCode, 503)
  assert.equal(response.headers['peerpulse-reason'], 'drain')
  assert.ok(Number(response.headers['retry-after']) >= 0)
  upgrade.terminate()
  finish?.()
  assert.equal(await (await slow).text(), 'done')
  await draining
  assert.equal(server.listening, false)
})

test('at the deadline what is left is terminated, and the report says how many', async (t) => {
  const { pulse, port } = await start(t, { drain: { ...quick, deadlineMs: 1_000 } }, () => {})
  const endless = fetch(`http://127.0.0.1:${port}/a%0Alog?q`).catch((error: Error) => error)
  await until(() => pulse.snapshot().connections.open === 1, 'the request is there')
  const leaver = await openWebSocket(t, port)
  const draining = pulse.drain()
  leaver.close(1000)
  const report = await draining
  assert.equal(report.deadlineExceeded, true)
  assert.equal(report.ends.http1?.cutOff, 1)
  assert.equal(report.ends.websocket?.onTheirOwn, 1)
  const [cut] = report.cut
  assert.deepEqual(
    [cut?.protocol, cut?.phase, cut?.request, cut?.remoteAddress],
    ['http1', 'request', 'GET /a%0Alog', '127.0.0.1'],
  )
  assert.deepEqual(report.connections.http1, { closed: 0, terminated: 1 })
  assert.ok(report.durationMs < 1_000 + 10_000)
  assert.ok((await endless) instanceof Error)
})

test('an upgrade that comes late in the readiness delay is served, and told to leave', async (t) => {
  const { pulse, port } = await start(t, { drain: { ...quick, readinessDelayMs: 1_000, deadlineMs: 10_000 } })
  const draining = pulse.drain()
  const client = new WebSocket(`ws://127.0.0.1:${port}`)
  const [code] = (await once(client, 'close')) as [number]
  assert.equal(code, 1012)
  await draining
})

test('a newcomer whose TLS handshake takes its time is served while a drain still listens', async (t) => {
  let finish = () => {}
  const pulse = peerpulse({ drain: { ...quick, signals: [], deadlineMs: 20_000 } })
  t.after(() => pulse.detach())
  const { port } = await startServer(
    t,
    (req, res) => {
      if (req.url !== '/slow') return void res.end('served')
      finish = () => void res.end('slow')
    },
    { secure: true, prepare: (server) => pulse.attach(server) },
  )
  const old = await connectRaw(t, port, true)
  old.write(request('/slow'))
  await until(() => [...pulse.connections()].some(({ phase }) => phase === 'request'), 'the request')
  const draining = pulse.drain()
  const raw = connect(port, '127.0.0.1')
  t.after(() => raw.destroy())
  raw.on('error', () => {})
  await once(raw, 'connect')
  await pause(250)
  const secured = tls.connect({ socket: raw, rejectUnauthorized: false })
  secured.on('error', () => {})
  secured.write(request('/'))
  let text = ''
  secured.on('data', (data) => {
    text += data
  })
  await until(() => text.includes('served') || raw.destroyed, 'the answer')
  assert.match(text, /served/)
  finish()
  await draining
})

test('a drain waits for the cleanups of what was tracked', async (t) => {
  const { pulse, wss, port } = await start(t, { drain: { ...quick, deadlineMs: 20_000 } })
  await openWebSocket(t, port)
  const [peer] = wss.clients
  let finish = () => {}
  let begun = false
  pulse.connectionOf(peer as object)?.track('ticker', () => {
    begun = true
    return new Promise<void>((resolve) => {
      finish = resolve
    })
  })
  let isOver = false
  const draining = pulse.drain().then(() => {
    isOver = true
  })
  await until(() => begun, 'the cleanup')
  await until(() => pulse.snapshot().uptimeMs > 1_500, 'several ticks')
  assert.equal(isOver, false)
  finish()
  await draining
})

test('in the readiness delay every connection is told to go: those that wait for their answer, and those that come', async (t) => {
  let finish = () => {}
  const { pulse, port } = await start(
    t,
    { drain: { ...quick, readinessDelayMs: 1_500, deadlineMs: 20_000 } },
    (req, res) => {
      if (req.url !== '/slow') return void res.end('served')
      finish = () => void res.end('slow')
    },
  )
  const pooled = new Agent({ keepAlive: true, maxSockets: 1 })
  t.after(() => pooled.destroy())
  const ask = async (path: string, agent: Agent | false) => {
    const request = get({ host: '127.0.0.1', port, path, agent, headers: { Connection: 'keep-alive' } })
    const [response] = (await once(request, 'response')) as [IncomingMessage]
    response.resume()
    await once(response, 'end')
    return response.headers.connection
  }
  assert.equal(await ask('/livez', pooled), 'keep-alive')
  const slow = ask('/slow', false)
  await until(() => pulse.snapshot().connections.open === 2, 'the request')
  const draining = pulse.drain()
  // Probes are answered before anybody asks whether we drain.
  assert.equal(await ask('/livez', pooled), 'close', 'a pooled connection')
  assert.equal(await ask('/livez', false), 'close', 'a new connection')
  finish()
  assert.equal(await slow, 'close', 'a request that had come before')
  assert.equal((await draining).deadlineExceeded, false)
})
