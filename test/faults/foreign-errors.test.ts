import assert from 'node:assert/strict'
import { mkdtempSync, rmSync } from 'node:fs'
import type { IncomingMessage, ServerResponse } from 'node:http'
import net, { type Socket } from 'node:net'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { type Duplex, pipeline } from 'node:stream'
import { type TestContext, test } from 'node:test'
import tls from 'node:tls'
import { type CloseReason, type ConnectionPhase, type Protocol, peerpulse } from 'peerpulse'
import { WebSocketServer } from 'ws'
import { socketOf } from '../guards/support.js'
import { request, upgradeRequest } from '../support/frames.js'
import { connectRaw } from '../support/raw-peer.js'
import { listen, makeServer, startServer, stopServer } from '../support/servers.js'
import { heard, until } from '../support/wait.js'
import { Closes } from '../support/watched.js'

/** A connection of the app's to a server behind it, which resets it. */
async function resetUpstream(t: TestContext): Promise<() => Promise<Socket>> {
  const upstream = net.createServer((socket) => socket.once('data', () => socket.resetAndDestroy()))
  t.after(() => upstream.close())
  const port = await listen(upstream as never)
  return async () => {
    const socket = net.connect(port, '127.0.0.1')
    await heard(socket, 'connect')
    return socket
  }
}

/** The errors that a proxy gets of what is behind it. */
async function upstreamErrors(t: TestContext): Promise<Record<string, Error>> {
  const connect = await resetUpstream(t)
  const socket = await connect()
  socket.write('x')
  const [reset] = (await heard(socket, 'error')) as [NodeJS.ErrnoException]
  assert.equal(reset.syscall, 'read')
  const made = (message: string, fields: object) => Object.assign(new Error(message), fields)
  return {
    'read ECONNRESET': reset,
    'connect ETIMEDOUT': made('connect ETIMEDOUT', { code: 'ETIMEDOUT', errno: -110, syscall: 'connect' }),
    'getaddrinfo ENETUNREACH': made('getaddrinfo', { code: 'ENETUNREACH', syscall: 'getaddrinfo' }),
    'socket hang up': made('socket hang up', { code: 'ECONNRESET' }),
    'write EPIPE': made('write EPIPE', { code: 'EPIPE', errno: -32, syscall: 'write' }),
  }
}

interface End {
  readonly kind: string
  readonly head: string
  readonly protocol: Protocol
  readonly phase: ConnectionPhase
  /** What the app destroys with the error. */
  destroys(app: App): { destroy(error?: Error): unknown }
}

interface App {
  req: IncomingMessage
  res?: ServerResponse
  socket: Socket
}

const http = { head: request('/hang'), protocol: 'http1', phase: 'request' } as const
const stream = { head: request('/events'), protocol: 'sse', phase: 'established' } as const
const ends: End[] = [
  { kind: 'the socket of a request', ...http, destroys: ({ req }) => req.socket },
  { kind: 'a request', ...http, destroys: ({ req }) => req },
  { kind: 'a response', ...http, destroys: ({ res }) => res as ServerResponse },
  { kind: 'an event stream', ...stream, destroys: ({ res }) => res as ServerResponse },
  {
    kind: 'a tunnel',
    head: 'CONNECT up:443 HTTP/1.1\r\nHost: up:443\r\n\r\n',
    protocol: 'upgraded',
    phase: 'established',
    destroys: ({ socket }) => socket,
  },
  {
    kind: 'an upgrade that waits',
    head: upgradeRequest('/waits'),
    protocol: 'upgraded',
    phase: 'upgrade',
    destroys: ({ socket }) => socket,
  },
  {
    kind: 'the socket of a WebSocket',
    head: upgradeRequest(),
    protocol: 'websocket',
    phase: 'established',
    destroys: ({ socket }) => socket,
  },
]

for (const secure of [false, true]) {
  for (const { kind, head, protocol, phase, destroys } of ends) {
    test(`${secure ? 'https' : 'http'}: ${kind} that the app destroys with an error of another socket`, async (t) => {
      const pulse = peerpulse({ drain: false })
      t.after(() => pulse.detach())
      const closes = new Closes(pulse)
      let next: Error | undefined
      const end = (app: App) => setImmediate(() => destroys(app).destroy(next))
      const wss = new WebSocketServer({ noServer: true })
      const { server, port } = await startServer(
        t,
        (req, res) => {
          req.on('error', () => {})
          res.on('error', () => {})
          if (req.url === '/events')
            res.writeHead(200, { 'Content-Type': 'text/event-stream' }).write('data: 1\n\n')
          end({ req, res, socket: req.socket })
        },
        { secure },
      )
      server.on('connect', (req, socket: Duplex) => {
        socket.write('HTTP/1.1 200 OK\r\n\r\n')
        end({ req, socket: socket as Socket })
      })
      server.on('upgrade', (req, socket, start) => {
        if (req.url === '/waits') end({ req, socket: socket as Socket })
        else wss.handleUpgrade(req, socket, start, (ws) => end({ req, socket: socketOf(ws) }))
      })
      pulse.attach(server, wss)

      const errors = await upstreamErrors(t)
      const expected: [string, Error | undefined, CloseReason][] = [
        ...Object.entries(errors).map(([of, error]): [string, Error, CloseReason] => [
          of,
          error,
          'server-error',
        ]),
        ['no error', undefined, 'server-closed'],
      ]
      for (const [of, error, reason] of expected) {
        next = error
        const peer = await connectRaw(t, port, secure)
        peer.write(head)
        const connection = await closes.wait(peer.port)
        const { closeReason, evidence } = connection
        assert.deepEqual([closeReason, connection.protocol, evidence?.phase], [reason, protocol, phase], of)
      }
    })
  }

  test(`${secure ? 'https' : 'http'}: a tunnel whose other end is reset, or its own`, async (t) => {
    const pulse = peerpulse({ drain: false })
    t.after(() => pulse.detach())
    const closes = new Closes(pulse)
    const connect = await resetUpstream(t)
    const { server, port } = await startServer(t, undefined, { secure })
    server.on('connect', async (_, socket: Duplex) => {
      const upstream = await connect()
      socket.write('HTTP/1.1 200 OK\r\n\r\n')
      pipeline(socket, upstream, socket, () => {})
    })
    pulse.attach(server)
    for (const [whose, reason] of [
      ['other', 'server-error'],
      ['own', 'peer-reset'],
    ] as const) {
      const peer = await connectRaw(t, port, secure)
      peer.write('CONNECT up:443 HTTP/1.1\r\nHost: up:443\r\n\r\n')
      await peer.expect('200 OK\r\n\r\n')
      if (whose === 'own') peer.reset()
      else peer.write('hello')
      assert.equal((await closes.wait(peer.port)).closeReason, reason, whose)
    }
  })
}

/** How an app that has been told of an error elsewhere comes to use it on a socket of its own peer. */
const moments: Record<string, (destroy: () => void) => void> = {
  'while it takes data': (destroy) => destroy(),
  'in a promise': (destroy) => void Promise.resolve().then(destroy),
  'at the next tick': (destroy) => process.nextTick(destroy),
  later: (destroy) => void setImmediate(destroy),
}

for (const secure of [false, true]) {
  for (const unix of [false, true]) {
    // A named pipe of Windows has no folder.
    if (unix && process.platform === 'win32') continue
    test(`${secure ? 'https' : 'http'} on ${unix ? 'a unix socket' : 'TCP'}: whose error it is does not depend on when the app uses it`, async (t) => {
      const { 'read ECONNRESET': error } = await upstreamErrors(t)
      const reasons: (string | undefined)[] = []
      const pulse = peerpulse({ drain: false })
      t.after(() => pulse.detach())
      pulse.on('connection:close', ({ closeReason }) => reasons.push(closeReason))
      const server = makeServer(undefined, secure)
      t.after(() => stopServer(server))
      server.on('connect', (req, socket: Duplex) => {
        socket.write('HTTP/1.1 200 OK\r\n\r\n')
        const [moment] = (req.url as string).split(':')
        socket.on('data', () => moments[decodeURIComponent(moment as string)]?.(() => socket.destroy(error)))
      })
      pulse.attach(server)
      const folder = mkdtempSync(join(tmpdir(), 'pulse-'))
      t.after(() => rmSync(folder, { recursive: true }))
      const path = join(folder, 'http.sock')
      if (unix) {
        server.listen(path)
        await heard(server, 'listening')
      }
      const at = unix ? { path } : { port: await listen(server), host: '127.0.0.1' }
      const expected: string[] = []
      for (const moment of Object.keys(moments)) {
        const peer = secure ? tls.connect({ ...at, rejectUnauthorized: false }) : net.connect(at)
        peer.on('error', () => {})
        peer.write(`CONNECT ${encodeURIComponent(moment)}:443 HTTP/1.1\r\nHost: up:443\r\n\r\n`)
        await heard(peer, 'data')
        peer.write('hello')
        expected.push(`${moment}: server-error`)
        await until(() => reasons.length === expected.length, 'its end')
        peer.destroy()
      }
      const seen = Object.keys(moments).map((moment, i) => `${moment}: ${reasons[i]}`)
      assert.deepEqual(seen, expected)
    })
  }
}

test("on a unix socket an error of its own is still the peer's", {
  skip: process.platform === 'win32',
}, async (t) => {
  const reasons: (string | undefined)[] = []
  const pulse = peerpulse({ drain: false })
  t.after(() => pulse.detach())
  pulse.on('connection:close', ({ closeReason }) => reasons.push(closeReason))
  const server = makeServer((req) => void req.socket.write('so far'))
  t.after(() => stopServer(server))
  pulse.attach(server)
  const folder = mkdtempSync(join(tmpdir(), 'pulse-'))
  t.after(() => rmSync(folder, { recursive: true }))
  const path = join(folder, 'http.sock')
  server.listen(path)
  await heard(server, 'listening')
  const peer = net.connect({ path })
  peer.pause()
  peer.write(request('/hang'))
  await until(() => [...pulse.connections()][0]?.phase === 'request', 'the request')
  // What it has not read makes a reset of its close.
  peer.destroy()
  await until(() => reasons.length === 1, 'its end')
  assert.deepEqual(reasons, ['peer-reset'])
})
