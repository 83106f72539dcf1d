import assert from 'node:assert/strict'
import { createServer, type Server, type ServerOptions } from 'node:http'
import { type TestContext, test } from 'node:test'
import { type Peerpulse, type PeerpulseOptions, peerpulse } from 'peerpulse'
import { connectRaw, readResponse } from '../support/raw-peer.js'
import { makeServer, startServer } from '../support/servers.js'
import { until } from '../support/wait.js'

function attach(t: TestContext, server: Server, options: PeerpulseOptions = {}): Peerpulse {
  const pulse = peerpulse({ drain: false, pressure: false, ...options })
  t.after(() => pulse.detach())
  pulse.attach(server)
  return pulse
}

const timeoutsOf = ({ headersTimeout, requestTimeout, keepAliveTimeout }: Server) => ({
  headersTimeout,
  requestTimeout,
  keepAliveTimeout,
})

const cases: [what: string, given: ServerOptions, options: PeerpulseOptions, headersTimeout: number][] = [
  ['Node has its defaults', {}, {}, 10_000],
  ['the app allows less for headers', { headersTimeout: 2_000 }, {}, 2_000],
  ['the app allows less for all of a request', { requestTimeout: 1_500 }, {}, 1_500],
  ['the app has no limit for a request', { requestTimeout: 0, headersTimeout: 40_000 }, {}, 10_000],
  ['the app has no limits', { requestTimeout: 0, headersTimeout: 0 }, {}, 10_000],
  ['we are asked for none', { headersTimeout: 40_000 }, { limits: { handshakeTimeoutMs: false } }, 40_000],
  ['we are asked for more than the app', {}, { limits: { handshakeTimeoutMs: 90_000 } }, 60_000],
  ['a dry run touches nothing', {}, { dryRun: true }, 60_000],
]
for (const [what, given, options, headersTimeout] of cases)
  test(`time limits of a server are tightened, and never loosened: ${what}`, async (t) => {
    const server = createServer(given)
    const before = timeoutsOf(server)
    const pulse = attach(t, server, options)
    assert.deepEqual(timeoutsOf(server), { ...before, headersTimeout })
    await pulse.detach()
    assert.deepEqual(timeoutsOf(server), before)
  })

for (const secure of [false, true])
  test(`a body that never ends has the time that the app gives it (${secure ? 'https' : 'http'})`, async (t) => {
    const { port } = await startServer(t, (req) => void req.resume(), {
      secure,
      prepare(server) {
        Object.assign(server, { requestTimeout: 400, headersTimeout: 300, connectionsCheckingInterval: 50 })
        attach(t, server, { limits: { handshakeTimeoutMs: 120_000 }, behind: { idleTimeoutMs: 60_000 } })
      },
    })
    const peer = await connectRaw(t, port, secure)
    peer.write('POST / HTTP/1.1\r\nHost: x\r\nContent-Length: 1000\r\n\r\nhalf')
    assert.match(await readResponse(peer), /^HTTP\/1.1 408 /)
  })

test("what the app sets after attach is the app's, also when we go", async (t) => {
  const server = makeServer()
  const pulse = attach(t, server, { behind: { idleTimeoutMs: 60_000 } })
  assert.equal(server.keepAliveTimeout, 65_000)
  server.headersTimeout = 30_000
  server.keepAliveTimeout = 7_000
  // Another pulse comes: it knows the app's as what was there before.
  const second = attach(t, server, { limits: { handshakeTimeoutMs: 4_000 } })
  assert.deepEqual([server.headersTimeout, server.keepAliveTimeout], [4_000, 7_000])
  await second.detach()
  assert.deepEqual([server.headersTimeout, server.keepAliveTimeout], [30_000, 7_000])
  await pulse.detach()
  assert.deepEqual([server.headersTimeout, server.keepAliveTimeout], [30_000, 7_000])
})

test('a time limit that the app sets later for all of a request is not stretched by ours for the headers', async (t) => {
  const server = makeServer()
  const pulse = attach(t, server)
  server.requestTimeout = 2_000
  await until(() => server.headersTimeout === 2_000, 'the time for headers to fit')
  server.requestTimeout = 0
  await until(() => server.headersTimeout === 10_000, 'the time for headers to be ours again')
  await pulse.detach()
  assert.deepEqual([server.headersTimeout, server.requestTimeout], [60_000, 0])
})

for (const order of ['012', '021', '102', '120', '201', '210'])
  test(`three pulses that leave in the order ${order} leave the timeouts as they were`, async (t) => {
    const server = createServer({ keepAliveTimeout: 3_000, headersTimeout: 20_000 })
    const before = timeoutsOf(server)
    const pulses = [50_000, 60_000, 70_000].map((idleTimeoutMs, i) =>
      attach(t, server, { behind: { idleTimeoutMs }, limits: { handshakeTimeoutMs: 3_000 - i * 1_000 } }),
    )
    assert.deepEqual([server.keepAliveTimeout, server.headersTimeout], [75_000, 1_000])
    const left = new Set([0, 1, 2])
    for (const i of [...order].map(Number)) {
      await pulses[i]?.detach()
      left.delete(i)
      const last = Math.max(...left)
      if (left.size === 0) assert.deepEqual(timeoutsOf(server), before)
      else
        assert.deepEqual(
          [server.keepAliveTimeout, server.headersTimeout],
          [55_000 + last * 10_000, 3_000 - last * 1_000],
        )
    }
  })
