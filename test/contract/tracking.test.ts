import assert from 'node:assert/strict'
import type { IncomingMessage } from 'node:http'
import { type TestContext, test } from 'node:test'
import {
  type CloseReason,
  type Connection,
  ConnectionClosedError,
  type Peerpulse,
  type PeerpulseOptions,
  type Protocol,
  peerpulse,
  type Warning,
} from 'peerpulse'
import { WebSocketServer } from 'ws'
import { badFrames, clientFrame, opcodes, request, upgradeRequest } from '../support/frames.js'
import { connectRaw, type RawPeer } from '../support/raw-peer.js'
import { startServer } from '../support/servers.js'
import { turn, until } from '../support/wait.js'
import { Closes } from '../support/watched.js'

const protocols = ['http1', 'sse', 'websocket', 'upgraded'] as const satisfies Protocol[]

/** A server whose connections stay in the protocol that their path asks for. */
interface Tracked {
  readonly pulse: Peerpulse
  readonly closes: Closes
  readonly warnings: Warning[]
  /** One connection in this protocol, with its peer. */
  open(protocol: Protocol): Promise<{ peer: RawPeer; connection: Connection; req: IncomingMessage }>
}

async function startTracked(
  t: TestContext,
  options: PeerpulseOptions = {},
  secure = false,
): Promise<Tracked> {
  const pulse = peerpulse({ drain: false, pressure: false, ...options })
  t.after(() => pulse.detach())
  const warnings: Warning[] = []
  pulse.on('warning', (warning) => warnings.push(warning))
  const requests = new Map<number, IncomingMessage>()
  const wss = new WebSocketServer({ noServer: true })
  const { server, port } = await startServer(
    t,
    (req, res) => {
      requests.set(req.socket.remotePort as number, req)
      if (req.url === '/sse') res.writeHead(200, { 'Content-Type': 'text/event-stream' }).write('data: 1\n\n')
      else res.writeHead(200, { 'Content-Length': 100 }).write('a part')
    },
    { secure },
  )
  server.on('upgrade', (req, socket, head) => {
    requests.set(req.socket.remotePort as number, req)
    if (req.url === '/websocket')
      wss.handleUpgrade(req, socket, head, (ws) => wss.emit('connection', ws, req))
    else {
      socket.write('HTTP/1.1 101 Switching Protocols\r\nUpgrade: other\r\nConnection: Upgrade\r\n\r\n')
      socket.on('end', () => socket.end()).resume()
    }
  })
  pulse.attach(server, wss)

  async function open(protocol: Protocol) {
    const peer = await connectRaw(t, port, secure)
    const upgrades = protocol === 'websocket' || protocol === 'upgraded'
    peer.write(upgrades ? upgradeRequest(`/${protocol}`) : request(`/${protocol}`))
    await peer.expect('\r\n\r\n')
    if (!upgrades) await peer.expect(protocol === 'sse' ? 'data: 1' : 'a part')
    const connection = [...pulse.connections()].find((each) => each.remotePort === peer.port)
    const req = requests.get(peer.port)
    assert.ok(connection && req)
    assert.equal(connection.protocol, protocol)
    return { peer, connection, req }
  }
  return { pulse, closes: new Closes(pulse), warnings, open }
}

/** Counts what happens to the streams of one connection. */
class Streams {
  readonly cleanups: CloseReason[] = []
  readonly aborts: unknown[] = []
  disposedCleanups = 0

  constructor(connection: Connection) {
    connection.track('synchronous', (reason) => void this.cleanups.push(reason))
    connection.track('asynchronous', async (reason) => {
      await turn()
      this.cleanups.push(reason)
    })
    connection.track('ended by itself', () => void this.disposedCleanups++).dispose()
    {
      using _stream = connection.track('ended with its block', () => void this.disposedCleanups++)
    }
    const { signal } = connection
    assert.equal(connection.signal, signal)
    signal.addEventListener('abort', () => this.aborts.push(signal.reason))
  }

  async check(reason: CloseReason | undefined): Promise<void> {
    await until(() => this.cleanups.length >= 2, 'both cleanups')
    await turn()
    assert.deepEqual(this.cleanups, [reason, reason])
    assert.equal(this.disposedCleanups, 0)
    assert.equal(this.aborts.length, 1)
    const [abort] = this.aborts
    assert.ok(abort instanceof ConnectionClosedError)
    assert.equal(abort.closeReason, reason)
    assert.equal(abort.code, 'PEERPULSE_ERR_CONNECTION_CLOSED')
  }
}

interface Ending {
  readonly reason: CloseReason | Record<Protocol, CloseReason>
  readonly only?: readonly Protocol[]
  readonly end: (on: {
    peer: RawPeer
    connection: Connection
    req: IncomingMessage
    pulse: Peerpulse
  }) => void
}

const endings: Record<string, Ending> = {
  'the peer resets': { reason: 'peer-reset', end: ({ peer }) => peer.reset() },
  'the peer sends FIN': {
    // An event stream has no other end than its client's FIN, and an unknown protocol may be at its end.
    reason: { http1: 'peer-ended', sse: 'peer-ended', websocket: 'peer-ended', upgraded: 'peer-closed' },
    end: ({ peer }) => peer.end(),
  },
  'the peer sends a close frame': {
    reason: 'peer-closed',
    only: ['websocket'],
    end: ({ peer }) => peer.write(clientFrame(opcodes.close)),
  },
  'the peer sends a bad frame': {
    reason: 'protocol-error',
    only: ['websocket'],
    end: ({ peer }) => peer.write(badFrames['not masked'] as Buffer),
  },
  'the app destroys the socket': { reason: 'server-closed', end: ({ req }) => void req.socket.destroy() },
  'the app destroys the socket with an error': {
    reason: 'server-error',
    end: ({ req }) => void req.socket.destroy(new Error('the app failed')),
  },
  'connection.terminate()': { reason: 'server-closed', end: ({ connection }) => connection.terminate() },
  "connection.terminate('slow-consumer')": {
    reason: 'slow-consumer',
    end: ({ connection }) => connection.terminate('slow-consumer'),
  },
  "connection.close('shed')": {
    reason: 'shed',
    only: ['sse', 'websocket', 'upgraded'],
    end: ({ connection }) => connection.close('shed'),
  },
  'both sides at once': {
    reason: 'lifetime',
    end({ connection, peer }) {
      connection.terminate('lifetime')
      connection.close('idle-timeout')
      connection.terminate('limit')
      peer.reset()
    },
  },
  'a drain': {
    reason: 'drain',
    end: ({ pulse }) => void pulse.drain('test'),
  },
}

for (const secure of [false, true]) {
  for (const [how, { reason, only = protocols, end }] of Object.entries(endings)) {
    test(`tracked streams end once when ${how} ends their connection (${secure ? 'https' : 'http'})`, {
      timeout: 60_000,
    }, async (t) => {
      for (const protocol of only) {
        const { pulse, open, closes, warnings } = await startTracked(
          t,
          {
            drain: { signals: [], readinessDelayMs: 0, spreadMs: 0, closeTimeoutMs: 300, deadlineMs: 1_000 },
          },
          secure,
        )
        const { peer, connection, req } = await open(protocol)
        const streams = new Streams(connection)
        assert.equal(connection.signal.aborted, false)
        end({ peer, connection, req, pulse })
        await closes.wait(peer.port, `the close of ${protocol}`)
        const expected = typeof reason === 'string' ? reason : reason[protocol]
        assert.equal(connection.closeReason, expected, protocol)
        await streams.check(expected)
        assert.equal(closes.all.length, 1)
        assert.equal(connection.state, 'closed')
        assert.deepEqual(pulse.snapshot().totals.leaks, {})
        assert.deepEqual(warnings, [])
        await pulse.detach()
      }
    })
  }
}

test('a cleanup that hangs, and a stream without one that lives on, are leaks after 5 s', {
  timeout: 60_000,
}, async (t) => {
  const { pulse, open, closes, warnings } = await startTracked(t)
  const { peer, connection } = await open('websocket')
  connection.track('hangs', () => new Promise(() => {}))
  connection.track('hangs', () => new Promise(() => {}))
  connection.track('lives on')
  const late = connection.track('ends late')
  connection.track('ended before').dispose()
  let finish = () => {}
  connection.track('finishes late', () => new Promise<void>((resolve) => (finish = resolve)))
  peer.reset()
  await closes.wait(peer.port)
  const closedAt = performance.now()
  late.dispose()
  finish()
  assert.deepEqual(pulse.snapshot().totals.leaks, {})
  await until(() => Object.keys(pulse.snapshot().totals.leaks).length > 0, 'the leaks', 30_000)
  // The pulse's clock turns ten times a second.
  assert.ok(performance.now() - closedAt >= 4_700, `after ${performance.now() - closedAt} ms`)
  assert.deepEqual(pulse.snapshot().totals.leaks, { hangs: 2, 'lives on': 1 })
  assert.deepEqual([...new Set(warnings.map(({ code }) => code))], ['PEERPULSE_WARN_LEAK'])
  assert.ok(warnings.some(({ message }) => message.includes("'lives on'")))
  assert.equal(pulse.snapshot().totals.callbackErrors, 0)
})

test('a cleanup that throws or rejects is caught, counted and told, and harms no other', {
  timeout: 60_000,
}, async (t) => {
  const { pulse, open, closes, warnings } = await startTracked(t)
  const { peer, connection } = await open('websocket')
  const called: string[] = []
  connection.track('throws', () => {
    called.push('throws')
    throw new Error('first')
  })
  connection.track('rejects', async () => {
    called.push('rejects')
    throw new Error('second')
  })
  connection.track('throws nothing much', () => {
    called.push('throws nothing much')
    throw undefined
  })
  connection.track('is well', () => called.push('is well'))
  peer.reset()
  await closes.wait(peer.port)
  await until(() => warnings.length >= 3, 'three warnings')
  assert.deepEqual(called, ['throws', 'rejects', 'throws nothing much', 'is well'])
  assert.deepEqual(
    warnings.map(({ code }) => code),
    Array(3).fill('PEERPULSE_WARN_CALLBACK'),
  )
  assert.deepEqual(
    warnings.map(({ error }) => (error as Error | undefined)?.message).filter((message) => message),
    ['first', 'second'],
  )
  assert.equal(pulse.snapshot().totals.callbackErrors, 3)
  const next = await open('websocket')
  assert.equal(next.connection.state, 'open')
})

test('a cleanup may use its connection: end it again, track more, ask for its signal', {
  timeout: 60_000,
}, async (t) => {
  const { pulse, open, closes } = await startTracked(t)
  const { peer, connection } = await open('websocket')
  const calls: string[] = []
  connection.track('first', (reason) => {
    calls.push(`first ${reason} ${connection.state} ${connection.signal.aborted}`)
    connection.close()
    connection.terminate('limit')
    connection.track('inner', (inner) => void calls.push(`inner ${inner}`))
  })
  peer.reset()
  await closes.wait(peer.port)
  assert.deepEqual(calls, ['first peer-reset closed true', 'inner peer-reset'])
  assert.equal(connection.closeReason, 'peer-reset')
  assert.equal(pulse.snapshot().totals.callbackErrors, 0)
})

test('on a closed connection the cleanup runs at once and the signal is aborted', {
  timeout: 60_000,
}, async (t) => {
  const { open, closes } = await startTracked(t)
  const { peer, connection } = await open('websocket')
  peer.reset()
  await closes.wait(peer.port)
  const reasons: CloseReason[] = []
  connection.track('late', (reason) => void reasons.push(reason)).dispose()
  assert.deepEqual(reasons, ['peer-reset'])
  assert.equal(connection.signal.aborted, true)
  assert.equal((connection.signal.reason as ConnectionClosedError).closeReason, 'peer-reset')
})

test('a throwing listener of connection:close harms neither the others nor the cleanups', {
  timeout: 60_000,
}, async (t) => {
  const { pulse, open, warnings } = await startTracked(t)
  pulse.on('connection:close', () => {
    throw new Error('a listener failed')
  })
  const closes = new Closes(pulse)
  const { peer, connection } = await open('websocket')
  const streams = new Streams(connection)
  peer.reset()
  await closes.wait(peer.port)
  await streams.check('peer-reset')
  assert.equal(warnings.length, 1)
  assert.equal(warnings[0]?.code, 'PEERPULSE_WARN_CALLBACK')
})
