/** An answer that comes before the request's body has: it must arrive, though the connection ends with it. */
import assert from 'node:assert/strict'
import type { IncomingMessage, RequestListener } from 'node:http'
import net from 'node:net'
import { describe, type TestContext, test } from 'node:test'
import tls from 'node:tls'
import { type Peerpulse, type PeerpulseOptions, peerpulse } from 'peerpulse'
import { request } from '../support/frames.js'
import { connectRaw } from '../support/raw-peer.js'
import { startServer } from '../support/servers.js'
import { heard, pause, until } from '../support/wait.js'
import { Closes } from '../support/watched.js'

const MiB = 1024 * 1024
const bodyBytes = 4 * MiB
const drain = { signals: [], readinessDelayMs: 300, spreadMs: 0, closeTimeoutMs: 500, deadlineMs: 20_000 }
/** Long enough for newcomers to be let in while they upload. */
const longDelay = { drain: { ...drain, readinessDelayMs: 6_000 } }
/** Under pressure from the first request on. */
const full = {
  memory: false,
  warmUpMs: 0,
  monitors: [{ name: 'full', read: () => 0.94 }],
} as const

async function start(t: TestContext, secure: boolean, listener: RequestListener, options: PeerpulseOptions) {
  const pulse = peerpulse({ drain, ...options })
  t.after(() => pulse.detach())
  const { port } = await startServer(t, listener, { secure, prepare: (server) => pulse.attach(server) })
  return { pulse, port, closes: new Closes(pulse) }
}

/** Sends a body, and reads nothing of the answer before all of it is sent, as simple clients do. */
async function upload(t: TestContext, port: number, secure: boolean): Promise<string> {
  const options = { port, host: '127.0.0.1', allowHalfOpen: true, rejectUnauthorized: false }
  const socket = secure ? tls.connect(options) : net.connect(options)
  t.after(() => socket.destroy())
  await heard(socket, secure ? 'secureConnect' : 'connect')
  let text = ''
  socket.on('data', (data) => {
    text += data
  })
  socket.on('error', () => {})
  socket.pause()
  const write = (data: string | Buffer) => new Promise<void>((sent) => socket.write(data, () => sent()))
  await write(request('/', { 'Content-Length': String(bodyBytes) }, 'POST'))
  for (let sent = 0; sent < bodyBytes && !socket.destroyed; sent += MiB / 16)
    await write(Buffer.alloc(MiB / 16))
  socket.resume()
  const status = () => /^HTTP\/1\.1 (\d+)/.exec(text)?.[1]
  await until(() => status() !== undefined || socket.destroyed, 'an answer')
  socket.destroy()
  return status() ?? 'lost'
}

const answer413: RequestListener = (_, res) => void res.writeHead(413).end('too large')

const early: Record<
  string,
  readonly [number, PeerpulseOptions, RequestListener, begin?: (pulse: Peerpulse) => unknown]
> = {
  'an upload refused under pressure': [503, { pressure: full }, () => assert.fail('it was let in')],
  "the app's own 413 in a drain": [413, longDelay, answer413, (pulse) => void pulse.drain()],
  "the app's own 413 under pressure": [
    413,
    { pressure: { ...full, monitors: [{ name: 'high', read: () => 0.85 }] } },
    answer413,
  ],
  'an upload over the limit': [429, { limits: { maxPerPeer: 1 } }, answer413],
  'a 413 of an app that leaves the body paused, and listens on': [
    413,
    {},
    (req, res) => {
      req.on('data', () => {
        req.pause()
        if (!res.headersSent) res.writeHead(413).end()
      })
    },
    (pulse) => void pulse.drain(),
  ],
  'a 401 of an app that had begun to read': [
    401,
    longDelay,
    (req, res) => {
      req.once('data', () => {
        req.pause()
        req.removeAllListeners('data')
        res.writeHead(401).end()
      })
    },
    (pulse) => void pulse.drain(),
  ],
}

for (const secure of [false, true]) {
  describe(secure ? 'https' : 'http', () => {
    for (const [what, [status, options, listener, begin]] of Object.entries(early)) {
      test(`${what} is answered ${status}, six times of six`, async (t) => {
        const { pulse, port } = await start(t, secure, listener, options)
        if (options.pressure) await until(() => pulse.snapshot().pressure.level !== 'normal', 'the pressure')
        begin?.(pulse)
        const guest = options.limits ? await connectRaw(t, port, secure) : undefined
        const statuses: unknown[] = []
        for (let i = 0; i < 6; i++) statuses.push(await upload(t, port, secure))
        assert.deepEqual(statuses, new Array(6).fill(String(status)))
        assert.equal(pulse.snapshot().totals.callbackErrors, 0)
        guest?.end()
      })
    }

    test('a client that waits for 100 Continue is answered, too', async (t) => {
      const { pulse, port } = await start(t, secure, answer413, { pressure: full })
      await until(() => pulse.snapshot().pressure.level === 'critical', 'the pressure')
      const peer = await connectRaw(t, port, secure)
      peer.write(request('/', { 'Content-Length': '100000', Expect: '100-continue' }, 'POST'))
      await peer.expect('503')
      peer.end()
      await peer.gone()
    })
  })
}

test('the connection is closed in order, with its reason, once the peer has ended', async (t) => {
  const { pulse, port, closes } = await start(t, false, answer413, { pressure: full })
  await until(() => pulse.snapshot().pressure.level === 'critical', 'the pressure')
  const peer = await connectRaw(t, port)
  peer.tcp.allowHalfOpen = true
  peer.write(request('/', { 'Content-Length': '100000' }, 'POST'))
  await peer.expect('503')
  await until(() => peer.ended, 'our FIN')
  const [connection] = pulse.connections()
  assert.equal(connection?.state, 'closing')
  peer.write(Buffer.alloc(100_000))
  peer.end()
  const { closeReason, evidence } = await closes.wait(peer.port)
  assert.equal(closeReason, 'shed')
  assert.equal(evidence?.phase, 'request')
  assert.equal(evidence?.code, undefined)
})

test('a body that stops is not waited for longer than some seconds', async (t) => {
  const { pulse, port, closes } = await start(t, false, answer413, { pressure: full })
  await until(() => pulse.snapshot().pressure.level === 'critical', 'the pressure')
  const peer = await connectRaw(t, port)
  peer.tcp.allowHalfOpen = true
  peer.write(request('/', { 'Content-Length': '100000' }, 'POST'))
  await peer.expect('503')
  const connection = await closes.wait(peer.port)
  assert.equal(connection.closeReason, 'shed')
})

test('what follows the body is not run', async (t) => {
  let runs = 0
  const { pulse, port, closes } = await start(
    t,
    false,
    (_, res) => {
      runs++
      res.writeHead(413).end()
    },
    {},
  )
  const peer = await connectRaw(t, port)
  void pulse.drain()
  peer.tcp.allowHalfOpen = true
  peer.write(request('/', { 'Content-Length': '5' }, 'POST'))
  await peer.expect('413')
  peer.write(`12345${request('/')}`)
  await closes.wait(peer.port)
  assert.equal(runs, 1)
})

test('a consumer that paused the body gets nothing that it did not ask for', async (t) => {
  let got = 0
  let body: IncomingMessage | undefined
  const { pulse, port } = await start(
    t,
    false,
    (req, res) => {
      body = req
      req.once('readable', () => req.pause())
      req.on('data', (data: Buffer) => {
        got += data.length
        req.pause()
        if (!res.writableEnded) res.writeHead(202).end()
      })
    },
    {},
  )
  const peer = await connectRaw(t, port)
  void pulse.drain()
  peer.write(`${request('/', { 'Content-Length': '300000' }, 'POST')}${'x'.repeat(100)}`)
  await peer.expect('202')
  const before = got
  peer.write('x'.repeat(200_000))
  await pause(700)
  assert.equal(got, before)
  assert.equal(body?.isPaused(), true)
})
