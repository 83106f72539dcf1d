import assert from 'node:assert/strict'
import { once } from 'node:events'
import { createServer, Server } from 'node:http'
import { type AddressInfo, connect } from 'node:net'
import { mock, test } from 'node:test'
import express5 from 'express'
// @ts-expect-error express4 has no types of its own, and needs none here
import express4Untyped from 'express4'
import supertest from 'supertest'
import { type PressureChange, peerpulse, type Warning } from '../../lib/index.js'
import { ask, health, listen, serve, shut } from '../support/probe-client.js'
import { inTime, until } from '../support/wait.js'

const express4 = express4Untyped as typeof express5

test('probes: all three pass on a healthy server, as health+json that nobody may cache', async () => {
  await using served = await serve()
  const parts = { livez: [], readyz: ['startup', 'drain', 'pressure'], startupz: ['listening'] }
  for (const [probe, names] of Object.entries(parts)) {
    const { status, headers, text } = await ask(`${served.url}/${probe}`)
    assert.equal(status, 200, probe)
    assert.equal(headers['content-type'], 'application/health+json; charset=utf-8')
    assert.equal(headers['cache-control'], 'no-store')
    assert.equal(headers['content-length'], String(Buffer.byteLength(text)))
    const body = JSON.parse(text)
    assert.equal(body.status, 'pass')
    assert.deepEqual(Object.keys(body.checks), names)
    for (const name of names) {
      const [line] = body.checks[name]
      assert.equal(line.status, 'pass')
      assert.ok(Math.abs(Date.parse(line.time) - Date.now()) < 60_000)
      assert.equal(line.output, undefined)
    }
  }
})

test('probes: HEAD is GET without the body', async () => {
  await using served = await serve()
  served.pulse.addCheck('broken', () => false)
  for (const path of ['/livez', '/readyz', '/startupz', '/readyz?verbose', '/readyz/unknown']) {
    const get = await ask(served.url + path)
    const head = await ask(served.url + path, { method: 'HEAD' })
    assert.equal(head.status, get.status, path)
    assert.equal(head.headers['content-type'], get.headers['content-type'], path)
    assert.equal(head.headers['content-length'], get.headers['content-length'], path)
    assert.equal(head.text, '', path)
  }
})

test('probes: ?verbose, ?exclude and /readyz/<check>', async () => {
  await using served = await serve()
  const { pulse, url } = served
  pulse.addCheck('good', () => true)
  pulse.addCheck('bad', () => {
    throw new Error('is down')
  })
  pulse.addCheck('worse', () => false)
  pulse.addCheck('soft', () => false, { soft: true })

  const verbose = await ask(`${url}/readyz?verbose`)
  assert.equal(verbose.status, 503)
  assert.equal(verbose.headers['content-type'], 'text/plain; charset=utf-8')
  assert.deepEqual(verbose.text.trimEnd().split('\n'), [
    '[+]startup ok',
    '[+]drain ok',
    '[+]pressure ok',
    '[+]good ok',
    '[-]bad failed: is down',
    '[-]worse failed: the check answered false',
    '[!]soft warning: the check answered false',
    'readyz check failed',
  ])

  assert.equal((await ask(`${url}/readyz?exclude=bad`)).status, 503)
  const excluded = await ask(`${url}/readyz?exclude=bad&exclude=worse&verbose`)
  assert.equal(excluded.status, 200)
  assert.doesNotMatch(excluded.text, /bad|worse/)
  assert.match(excluded.text, /readyz check passed\n$/)

  const one = await ask(`${url}/readyz/good`)
  assert.equal(one.status, 200)
  assert.deepEqual(Object.keys(health(one).checks ?? {}), ['good'])
  assert.equal((await ask(`${url}/readyz/bad`)).status, 503)
  assert.equal((await ask(`${url}/readyz/soft`)).status, 200)
  assert.match((await ask(`${url}/readyz/bad?verbose`)).text, /^\[-\]bad failed: is down$/m)
  assert.equal((await ask(`${url}/readyz/drain`)).status, 200)
})

test('probes: an unknown check is 404, by name only for those who may know', async () => {
  await using served = await serve()
  const { url } = served
  served.pulse.addCheck('known', () => true)
  const unknown = await ask(`${url}/readyz/unknown`)
  assert.equal(unknown.status, 404)
  assert.equal(health(unknown).output, 'no such check in readyz')
  assert.equal((await ask(`${url}/readyz/unknown?verbose`)).text, "no check 'unknown' in readyz\n")
  // A check belongs to one probe.
  assert.equal((await ask(`${url}/livez/known`)).status, 404)
  const stranger = await ask(`${url}/readyz/unknown`, { headers: { 'X-Forwarded-For': '192.0.2.1' } })
  assert.equal(stranger.status, 404)
  assert.deepEqual(JSON.parse(stranger.text), { status: 'fail' })
})

test('probes: only GET and HEAD of their own paths; all else goes to the app', async () => {
  await using served = await serve()
  for (const method of ['POST', 'PUT', 'DELETE', 'OPTIONS', 'PATCH']) {
    assert.equal((await ask(`${served.url}/livez`, { method })).text, `app ${method} /livez`)
  }
  for (const path of ['/', '/livezz', '/livez.txt', '/x/livez', '/?/livez', '/LIVEZ']) {
    assert.equal((await ask(served.url + path)).text, `app GET ${path}`)
  }
})

test('probes: paths of their own, and none at all', async () => {
  await using renamed = await serve({ probes: { livez: '/health/live', readyz: '/health/ready' } })
  assert.equal((await ask(`${renamed.url}/health/live`)).status, 200)
  assert.equal(health(await ask(`${renamed.url}/health/ready`)).status, 'pass')
  assert.equal(health(await ask(`${renamed.url}/startupz`)).status, 'pass')
  assert.equal((await ask(`${renamed.url}/livez`)).text, 'app GET /livez')
  await using without = await serve({ probes: false })
  assert.equal((await ask(`${without.url}/readyz`)).text, 'app GET /readyz')
})

test('probes: details are for loopback, and not for what a proxy passed on', async () => {
  await using served = await serve()
  served.pulse.addCheck('database', () => {
    throw new Error('password of db.internal refused')
  })
  const path = `${served.url}/readyz?verbose`
  assert.match((await ask(path)).text, /password/)
  for (const headers of [{ 'X-Forwarded-For': '192.0.2.1' }, { Forwarded: 'for=192.0.2.1' }]) {
    const { status, headers: got, text } = await ask(path, { headers: headers as Record<string, string> })
    assert.equal(status, 503)
    assert.deepEqual(JSON.parse(text), { status: 'fail' })
    assert.equal(got['content-type'], 'application/health+json; charset=utf-8')
  }
})

test('probes: details may be on, off, or a function of the request', async () => {
  const forwarded = { headers: { 'X-Forwarded-For': '192.0.2.1' } }
  await using open = await serve({ probes: { details: true } })
  assert.notEqual(health(await ask(`${open.url}/readyz`, forwarded)).checks, undefined)
  await using closed = await serve({ probes: { details: false } })
  assert.equal(health(await ask(`${closed.url}/readyz`)).checks, undefined)
  await using asked = await serve({ probes: { details: (req) => req.headers['x-key'] === 'secret' } })
  assert.equal(health(await ask(`${asked.url}/readyz`)).checks, undefined)
  const withKey = await ask(`${asked.url}/readyz`, { headers: { 'X-Key': 'secret' } })
  assert.notEqual(health(withKey).checks, undefined)
  // What is not `true` is no yes: a promise, say, of a function that was made async by mistake.
  await using mistaken = await serve({ probes: { details: (async () => false) as never } })
  assert.equal(health(await ask(`${mistaken.url}/readyz`)).checks, undefined)
})

test('probes: a details function that throws hides the details, and changes no status', async () => {
  await using served = await serve({
    probes: {
      details: () => {
        throw new Error('no session')
      },
    },
  })
  const warnings: Warning[] = []
  served.pulse.on('warning', (warning) => warnings.push(warning))
  const ok = await ask(`${served.url}/readyz`)
  assert.equal(ok.status, 200)
  assert.deepEqual(JSON.parse(ok.text), { status: 'pass' })
  assert.equal(warnings[0]?.code, 'PEERPULSE_WARN_CALLBACK')
  assert.match(warnings[0]?.message ?? '', /probes\.details.*no session/)
  served.pulse.addCheck('bad', () => false)
  const failed = await ask(`${served.url}/readyz`)
  assert.equal(failed.status, 503)
  assert.deepEqual(JSON.parse(failed.text), { status: 'fail' })
})

test('probes: a port of their own leaves the port of the app to the app', async () => {
  // Nothing else says which port a 0 has become.
  const listening = mock.method(Server.prototype, 'listen')
  try {
    await using served = await serve({ probes: { port: 0 } })
    const probeServer = listening.mock.calls
      .map((call) => call.this as Server)
      .find((server) => server !== served.server)
    assert.ok(probeServer)
    await until(() => probeServer.listening, 'probe port')
    const url = `http://127.0.0.1:${(probeServer.address() as AddressInfo).port}`
    assert.notEqual(url, served.url)
    for (const probe of ['livez', 'readyz', 'startupz'])
      assert.equal((await ask(`${url}/${probe}`)).status, 200)
    assert.equal((await ask(`${url}/`)).status, 404)
    assert.equal((await ask(`${url}/livez`, { method: 'POST' })).status, 404)
    assert.equal((await ask(`${served.url}/livez`)).text, 'app GET /livez')

    // It is one port, however often something is attached, and it is no connection of the app's.
    served.pulse.attach(served.server)
    assert.equal(listening.mock.callCount(), 2)
    const open = connect((probeServer.address() as AddressInfo).port, '127.0.0.1')
    await once(open, 'connect')
    assert.equal(
      [...served.pulse.connections()].some((c) => c.remotePort === open.localPort),
      false,
    )
    open.destroy()

    await served.pulse.detach()
    await assert.rejects(ask(`${url}/livez`), { code: 'ECONNREFUSED' })
  } finally {
    listening.mock.restore()
  }
})

test('probes: a port that is taken is a warning, not a crash', async () => {
  const taken = createServer()
  taken.listen(0)
  await once(taken, 'listening')
  const { port } = taken.address() as AddressInfo
  const pulse = peerpulse({ drain: false, probes: { port } })
  const server = createServer((_req, res) => res.end('app'))
  try {
    const warned = new Promise<Warning>((resolve) => pulse.once('warning', resolve))
    pulse.attach(server)
    const url = await listen(server)
    const { code, message } = await inTime(warned, 'warning')
    assert.equal(code, 'PEERPULSE_WARN_PROBES_PORT')
    assert.match(message, new RegExp(`${port}`))
    assert.equal((await ask(`${url}/`)).text, 'app')
  } finally {
    await pulse.detach()
    await shut(server)
    await shut(taken)
  }
})

for (const [version, express] of [
  ['Express 4', express4],
  ['Express 5', express5],
] as const) {
  test(`probes: by middleware alone in ${version}, with one warning that says what is off`, async () => {
    const pulse = peerpulse({ drain: false })
    const warnings: Warning[] = []
    pulse.on('warning', (warning) => warnings.push(warning))
    const app = express()
    app.use(pulse.middleware())
    app.all('/livez', (req, res) => void res.send(`app ${req.method}`))
    app.get('/', (_req, res) => void res.send('home'))
    pulse.addCheck('bad', () => false)
    try {
      const api = supertest(app)
      await api.get('/livez').expect(200, { status: 'pass', checks: {} })
      await api.head('/livez').expect(200)
      await api.post('/livez').expect(200, 'app POST')
      await api.get('/startupz').expect(200)
      await api.get('/readyz').expect(503)
      await api.get('/readyz/bad').expect(503)
      await api.get('/readyz?exclude=bad&verbose').expect(200, /readyz check passed/)
      await api.get('/').expect(200, 'home')
      await api.get('/nothing').expect(404)
      assert.deepEqual(
        warnings.map(({ code }) => code),
        ['PEERPULSE_WARN_NOT_ATTACHED'],
      )
    } finally {
      await pulse.detach()
    }
    await supertest(app).get('/livez').expect(200, 'app GET')
  })

  test(`probes: in ${version} the middleware works below a mount point, and beside attach`, async () => {
    const pulse = peerpulse({ drain: false })
    const warnings: Warning[] = []
    pulse.on('warning', (warning) => warnings.push(warning))
    const app = express()
    app.use(pulse.middleware())
    app.use('/internal', pulse.middleware())
    const server = createServer(app)
    pulse.attach(server)
    const url = await listen(server)
    try {
      assert.equal((await ask(`${url}/readyz`)).status, 200)
      // An attached server was asked with the whole URL already, and said that this is no probe.
      assert.equal((await ask(`${url}/internal/readyz`)).status, 404)
      await supertest(app).get('/internal/readyz').expect(200)
      await until(() => warnings.length > 0, 'warning')
      assert.deepEqual(
        warnings.map(({ code }) => code),
        ['PEERPULSE_WARN_NOT_ATTACHED'],
      )
    } finally {
      await pulse.detach()
      await shut(server)
    }
  })
}

test('probes: two servers with two pulses do not answer for each other', async () => {
  await using first = await serve({
    probes: { readyz: '/ready-a' },
    drain: { readinessDelayMs: 2_000, spreadMs: 0 },
  })
  await using second = await serve({ probes: { readyz: '/ready-b' } })
  first.pulse.addCheck('a', () => true)
  second.pulse.addCheck('b', () => false)
  for (let round = 0; round < 3; round++) {
    const [a, b] = await Promise.all([ask(`${first.url}/ready-a`), ask(`${second.url}/ready-b`)])
    assert.equal(a.status, 200)
    assert.equal(b.status, 503)
    assert.ok(health(a).checks?.a && !health(a).checks?.b)
    assert.ok(health(b).checks?.b && !health(b).checks?.a)
  }
  assert.equal((await ask(`${first.url}/ready-b`)).text, 'app GET /ready-b')

  void first.pulse.drain()
  assert.equal((await ask(`${first.url}/ready-a`)).status, 503)
  second.pulse.addCheck('c', () => true)
  assert.equal((await ask(`${second.url}/ready-b?exclude=b`)).status, 200)
})

test('probes: not started before every attached server listens; once started, it stays so', async () => {
  await using served = await serve()
  const second = createServer()
  served.pulse.attach(second)
  const started = async () => (await ask(`${served.url}/startupz`)).status
  assert.equal(await started(), 503)
  assert.match((await ask(`${served.url}/readyz?verbose`)).text, /^\[-\]startup failed/m)
  assert.equal((await ask(`${served.url}/livez`)).status, 200)
  await listen(second)
  assert.equal(await started(), 200)
  assert.equal((await ask(`${served.url}/readyz`)).status, 200)
  await shut(second)
  assert.equal(await started(), 200)
  assert.equal((await ask(`${served.url}/readyz`)).status, 200)
})

test('probes: in a drain readiness fails at once, liveness and startup do not', async () => {
  await using served = await serve({ drain: { readinessDelayMs: 4_000, spreadMs: 0 } })
  const { pulse, url } = served
  assert.equal((await ask(`${url}/readyz`)).status, 200)
  void pulse.drain('test')
  const readyz = await ask(`${url}/readyz?verbose`)
  assert.equal(readyz.status, 503)
  assert.match(readyz.text, /^\[-\]drain failed: the server is shutting down$/m)
  assert.equal((await ask(`${url}/readyz/drain`)).status, 503)
  assert.equal((await ask(`${url}/livez`)).status, 200)
  assert.equal((await ask(`${url}/startupz`)).status, 200)
  const served200 = await ask(`${url}/work`)
  assert.equal(served200.status, 200)
  assert.equal(served200.headers.connection, 'close')
})

test('probes: under critical pressure requests are shed, and the probes are answered', async () => {
  const pulse = peerpulse({
    drain: false,
    pressure: { memory: { limitBytes: 1 }, warmUpMs: 0 },
  })
  const changed = new Promise<PressureChange>((resolve) => pulse.once('pressure:level', resolve))
  const server = createServer((_req, res) => res.end('app'))
  pulse.attach(server)
  const url = await listen(server)
  try {
    assert.equal((await inTime(changed, 'pressure')).level, 'critical')
    const refused = await ask(`${url}/`)
    assert.equal(refused.status, 503)
    assert.ok(Number(refused.headers['retry-after']) >= 1)
    assert.equal(refused.headers['peerpulse-reason'], 'shed')
    // Which monitor it was is nobody's business but the operator's.
    assert.doesNotMatch(refused.text + JSON.stringify(refused.headers), /rss|heap|critical|%/)
    assert.equal((await ask(`${url}/livez`)).status, 200)
    assert.equal((await ask(`${url}/startupz`)).status, 200)
    // Taking a process out of rotation for its load moves the load to the next one: it warns.
    const readyz = await ask(`${url}/readyz`)
    assert.equal(readyz.status, 503)
    assert.equal(health(readyz).status, 'fail')
    assert.match(String(health(readyz).checks?.pressure?.[0].output), /every request is refused/)
    // A POST to a probe's path is the app's, and shed like any other.
    assert.equal((await ask(`${url}/livez`, { method: 'POST' })).status, 503)
  } finally {
    await pulse.detach()
    await shut(server)
  }
})

test('probes: under critical pressure, by middleware alone', async () => {
  const pulse = peerpulse({ drain: false, pressure: { memory: { limitBytes: 1 }, warmUpMs: 0 } })
  const changed = new Promise<PressureChange>((resolve) => pulse.once('pressure:level', resolve))
  pulse.on('warning', () => {})
  const app = express5()
  app.use(pulse.middleware())
  app.get('/', (_req, res) => void res.send('home'))
  try {
    // The first request starts the clock.
    await supertest(app).get('/').expect(200, 'home')
    await inTime(changed, 'pressure')
    await supertest(app).get('/').expect(503).expect('Retry-After', /^\d+$/)
    await supertest(app).get('/livez').expect(200)
    await supertest(app).get('/readyz').expect(503)
  } finally {
    await pulse.detach()
  }
})

test('probes: who is one too many may still ask them', async () => {
  await using served = await serve({ limits: { maxConnections: 20 } })
  const { port } = served.server.address() as AddressInfo
  const holders = Array.from({ length: 20 }, () => connect(port, '127.0.0.1'))
  try {
    await Promise.all(holders.map((socket) => once(socket, 'connect')))
    await until(() => [...served.pulse.connections()].length === 20, 'twenty connections')
    assert.equal((await ask(`${served.url}/`)).status, 503)
    await until(() => [...served.pulse.connections()].length === 20, 'twenty connections again')
    assert.equal((await ask(`${served.url}/livez`)).status, 200)
  } finally {
    for (const socket of holders) socket.destroy()
  }
})
