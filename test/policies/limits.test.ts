import assert from 'node:assert/strict'
import { once } from 'node:events'
import { test } from 'node:test'
import type { Shed } from 'peerpulse'
import { WebSocket } from 'ws'
import { until } from '../support/wait.js'
import { openSocket, openWebSocket, readAll, start } from './support.js'

const request = 'GET / HTTP/1.1\r\nHost: x\r\n\r\n'

test('above maxConnections requests and upgrades get 503; above 110 % the socket is destroyed at accept', async (t) => {
  const { pulse, port, closing } = await start(t, { limits: { maxConnections: 10 } })
  const sheds: Shed[] = []
  pulse.on('shed', (shed) => sheds.push(shed))
  const held = await Promise.all(Array.from({ length: 10 }, () => openSocket(t, port)))
  await until(() => pulse.snapshot().connections.open === 10, 'ten')

  const refused = await openSocket(t, port)
  refused.write(request)
  const answer = await readAll(refused)
  assert.match(answer, /^HTTP\/1\.1 503 Service Unavailable\r\n/)
  assert.match(answer, /\r\nRetry-After: \d+\r\n/)
  assert.match(answer, /\r\nPeerpulse-Reason: limit\r\n/)
  assert.equal((await closing()).closeReason, 'limit')

  const upgrade = new WebSocket(`ws://127.0.0.1:${port}`)
  upgrade.on('error', () => {})
  const [, response] = (await once(upgrade, 'unexpected-response')) as [
    unknown,
    { statusCode: number; headers: Record<string, string> },
  ]
  assert.equal(response.statusCode, 503)
  assert.ok(Number(response.headers['retry-after']) > 0)
  upgrade.terminate()

  await until(() => pulse.snapshot().connections.open === 10, 'ten again')
  const eleventh = await openSocket(t, port)
  await until(() => pulse.snapshot().connections.open === 11, 'eleven')
  const twelfth = await openSocket(t, port)
  await once(twelfth, 'close')
  assert.equal(pulse.snapshot().connections.open, 11)
  assert.deepEqual(
    sheds.map(({ what, status, reason }) => [what, status, reason]),
    [
      ['request', 503, 'limit'],
      ['upgrade', 503, 'limit'],
      ['connection', undefined, 'limit'],
    ],
  )

  // A connection that was one too many is served when there is room again.
  held[0]?.destroy()
  await until(() => pulse.snapshot().connections.open === 10, 'room')
  eleventh.end(request.replace('\r\n\r\n', '\r\nConnection: close\r\n\r\n'))
  assert.match(await readAll(eleventh), /^HTTP\/1\.1 200 /)
})

test('above maxPerPeer requests get 429, and the count comes back whatever way a socket dies', async (t) => {
  const { pulse, port } = await start(t, { limits: { maxPerPeer: 3 } })
  for (const end of ['destroy', 'resetAndDestroy', 'end'] as const) {
    const held = await Promise.all(Array.from({ length: 3 }, () => openSocket(t, port)))
    await until(() => pulse.snapshot().connections.open === 3, 'three')
    const refused = await openSocket(t, port)
    refused.write(request)
    assert.match(
      await readAll(refused),
      /^HTTP\/1\.1 429 Too Many Requests\r\nRetry-After: \d+\r\n[\s\S]*\r\nConnection: close\r\n/,
    )
    for (const socket of held) socket[end]()
    await until(() => pulse.snapshot().connections.open === 0, 'none')
    assert.equal(pulse.snapshot().connections.peers, 0)
  }
})

test('behind a trusted proxy peers are told apart by X-Forwarded-For', async (t) => {
  const { pulse, port } = await start(t, { limits: { maxPerPeer: 1, trustProxy: 'loopback' } })
  const ask = async (client: string) => {
    const socket = await openSocket(t, port)
    const answer = once(socket, 'data')
    socket.write(`GET / HTTP/1.1\r\nHost: x\r\nX-Forwarded-For: ${client}\r\n\r\n`)
    return String((await answer)[0]).split('\r\n', 1)[0]
  }
  assert.equal(await ask('203.0.113.1'), 'HTTP/1.1 200 OK')
  assert.equal(await ask('203.0.113.2'), 'HTTP/1.1 200 OK')
  assert.equal(await ask('203.0.113.1'), 'HTTP/1.1 429 Too Many Requests')
  assert.ok([...pulse.connections()].some(({ remoteAddress }) => remoteAddress === '203.0.113.2'))
  // What is no address is nobody's.
  assert.equal(await ask('not-an-address'), 'HTTP/1.1 200 OK')
})

test('without trust X-Forwarded-For counts for nothing', async (t) => {
  const { pulse, port } = await start(t, {})
  const socket = await openSocket(t, port)
  const answer = once(socket, 'data')
  socket.write('GET / HTTP/1.1\r\nHost: x\r\nX-Forwarded-For: 203.0.113.1\r\n\r\n')
  await answer
  assert.deepEqual(
    [...pulse.connections()].map(({ remoteAddress }) => remoteAddress),
    ['127.0.0.1'],
  )
})

test('handshakes that never complete are closed: no byte, half a header, an upgrade nobody answers', async (t) => {
  const { server, pulse, port, closed } = await start(t, { limits: { handshakeTimeoutMs: 500 } })
  server.removeAllListeners('upgrade')
  server.on('upgrade', () => {})
  const silent = await openSocket(t, port)
  const half = await openSocket(t, port)
  half.write('GET / HTTP/1.1\r\nHost:')
  const upgrading = await openSocket(t, port)
  upgrading.write('GET / HTTP/1.1\r\nHost: x\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n\r\n')
  const answers = await Promise.all([silent, half, upgrading].map(readAll))
  assert.match(answers[1] ?? '', /^HTTP\/1\.1 408 /)
  await until(() => pulse.snapshot().connections.open === 0, 'none')
  assert.deepEqual(
    closed.map(({ closeReason }) => closeReason),
    Array(3).fill('handshake-timeout'),
  )
})

test('dryRun refuses nobody and closes nobody, but counts', async (t) => {
  const { pulse, port, closed } = await start(t, {
    dryRun: true,
    limits: { maxConnections: 1, handshakeTimeoutMs: 300 },
    idle: { websocketMs: 300 },
    heartbeat: false,
  })
  const warnings: string[] = []
  pulse.on('warning', ({ message }) => warnings.push(message))
  await openSocket(t, port)
  const client = await openWebSocket(t, port)
  await until(
    () =>
      pulse.snapshot().totals.dryRun['idle-timeout'] === 1 &&
      pulse.snapshot().totals.dryRun['handshake-timeout'] === 1,
    'both were reported',
  )
  assert.equal(pulse.snapshot().totals.dryRun.limit, 1)
  assert.ok(warnings.some((message) => /would have been closed: idle-timeout/.test(message)))
  const report = await pulse.drain('rehearsal')
  assert.equal(report.dryRun, true)
  assert.equal(report.connections.websocket?.closed, 1)
  assert.equal(client.readyState, 1)
  assert.deepEqual(closed, [])
})
