import assert from 'node:assert/strict'
import { once } from 'node:events'
import { createServer, get, type IncomingMessage, type ServerResponse } from 'node:http'
import { createServer as createSecondServer } from 'node:http2'
import { createServer as createTcpServer, Socket } from 'node:net'
import { describe, type TestContext, test } from 'node:test'
import { Server as EngineServer } from 'engine.io'
import express from 'express'
// @ts-expect-error an alias of Express 4, without types
import express4 from 'express4'
import fastify from 'fastify'
import { type Peerpulse, PeerpulseError, peerpulse } from 'peerpulse'
import { Server as SocketServer } from 'socket.io'
import { WebSocketServer } from 'ws'
import { connectRaw } from '../support/raw-peer.js'
import { listen, makeServer, startServer, stopServer } from '../support/servers.js'
import { until } from '../support/wait.js'
import { openWebSocket } from '../support/web-socket.js'

function createPulse(t: TestContext): Peerpulse {
  const pulse = peerpulse({ drain: false, pressure: false })
  t.after(() => pulse.detach())
  return pulse
}

/** What is passed by mistake has any type. */
type Loose = Record<
  'attach' | 'broadcast' | 'addCheck' | 'on' | 'once' | 'off' | 'connectionOf' | 'middleware',
  (...args: unknown[]) => unknown
>
const loose = (pulse: Peerpulse) => pulse as unknown as Loose

/** Runs what must throw one of our errors, and returns its message. */
function refusal(code: string, run: () => unknown): string {
  try {
    run()
  } catch (error) {
    assert.ok(error instanceof PeerpulseError, String(error))
    assert.equal(error.code, code)
    return error.message
  }
  assert.fail('it was accepted')
}

class Hapi {
  listener = createServer()
}
class Koa {
  middleware = []
  callback() {}
}
class Nest {
  getHttpServer() {}
}

const targets: [what: string, make: (t: TestContext) => unknown, says: RegExp][] = [
  ['nothing', () => undefined, /not undefined; attach what app\.listen\(\)/],
  ['null', () => null, /not null; attach/],
  ['a port', () => 3000, /not 3000$/],
  ['a text', () => 'server', /not 'server'$/],
  ['a symbol', () => Symbol('x'), /not Symbol\(x\)$/],
  [
    'what throws when it is looked at',
    () => ({
      __proto__: Object.create({
        get constructor() {
          throw new Error('from a getter')
        },
      }),
    }),
    /not an object that cannot be read$/,
  ],
  ['an Express app', () => express(), /a function; with Express, attach what/],
  [
    'a Socket.IO server',
    (t) => {
      const io = new SocketServer(makeServer())
      t.after(() => void io.close())
      return io
    },
    /a Socket\.IO server; attach .*io\.httpServer/,
  ],
  ['an engine.io server', () => new EngineServer(), /an engine\.io server; attach the http server/],
  ['a Fastify instance', () => fastify(), /a Fastify instance; attach its server \(app\.server\)/],
  ['a Nest application', () => new Nest(), /a Nest application; attach .*app\.getHttpServer\(\)/],
  ['a Koa application', () => new Koa(), /a Koa application; attach/],
  ['a hapi server', () => new Hapi(), /an object of class Hapi; attach its listener/],
  ['a list', () => [makeServer(), makeServer()], /a list; pass its members one by one/],
  ['a promise', () => Promise.resolve(makeServer()), /a promise; await it/],
  ['an HTTP/2 server', () => createSecondServer(), /an HTTP\/2 server/],
  ['a TCP server', () => createTcpServer(), /a TCP server/],
  ['a socket', () => new Socket(), /a socket; attach the server/],
  [
    'what looks like a WebSocketServer',
    () => ({ handleUpgrade() {}, emit() {}, on() {}, options: null }),
    /an object$/,
  ],
  ['an object without a prototype', () => Object.create(null), /an object$/],
  [
    'a server whose emit is fixed',
    () => Object.defineProperty(makeServer(), 'emit', { value: () => true }),
    /frozen/,
  ],
  ['a frozen server', () => Object.freeze(makeServer()), /frozen/],
]

describe('attach', () => {
  for (const [what, make, says] of targets)
    test(`of ${what} says what to pass, and attaches nothing`, (t) => {
      const pulse = createPulse(t)
      const server = makeServer()
      const wss = new WebSocketServer({ noServer: true })
      const before = [Reflect.ownKeys(server), Reflect.ownKeys(wss), server.headersTimeout]
      const target = make(t)
      for (const args of [[target], [server, target], [wss, server, target], [target, server]])
        assert.match(
          refusal('PEERPULSE_ERR_ATTACH_TARGET', () => loose(pulse).attach(...args)),
          says,
        )
      assert.deepEqual([Reflect.ownKeys(server), Reflect.ownKeys(wss), server.headersTimeout], before)
      assert.equal(pulse.snapshot().attached, 0)
    })
})

test('broadcast refuses what is no server, no message or no option, and sends nothing', async (t) => {
  const pulse = createPulse(t)
  const { server, port } = await startServer(t)
  const wss = new WebSocketServer({ server })
  pulse.attach(server, wss)
  const { messages } = await openWebSocket(t, port)
  const { broadcast } = loose(pulse)
  const list: unknown[] = []
  list.push(list)
  const wrong: [unknown[], RegExp][] = [
    [[null, 'x'], /expected a WebSocketServer, not null/],
    [[undefined, 'x'], /expected a WebSocketServer, not undefined/],
    [['wss', 'x'], /expected a WebSocketServer, not 'wss'/],
    [[server, 'x'], /expected a WebSocketServer, not an object of class Server/],
    [[new WebSocketServer({ noServer: true, clientTracking: false }), 'x'], /has no clients/],
    [[wss, null], /the data must be .*, not null/],
    [[wss], /the data must be .*, not undefined/],
    [[wss, 3], /the data must be .*, not 3/],
    [[wss, { a: 1 }], /the data must be .*, not an object/],
    [[wss, ['a', 'b']], /the data must be .*, not \['a', 'b'\]/],
    [[wss, list], /the data must be .*, not \[\[\.\.\.\]\]/],
    [[wss, 'x', null], /the options must be an object, not null/],
    [[wss, 'x', 'skip'], /the options must be an object, not 'skip'/],
    [[wss, 'x', { congested: 'drop' }], /congested must be 'skip', 'close' or 'send', not 'drop'/],
    [[wss, 'x', { congested: Object.create(null) }], /congested must be/],
    [[wss, 'x', { binary: 'no' }], /binary must be true or false, not 'no'/],
    [[wss, 'x', { congestd: 'close' }], /unknown option 'congestd'; there are congested and binary$/],
  ]
  for (const [args, says] of wrong)
    assert.match(
      refusal('PEERPULSE_ERR_INVALID_ARGUMENT', () => broadcast.apply(pulse, args)),
      says,
    )
  assert.deepEqual(broadcast.call(pulse, wss, 'x', undefined), { sent: 1, skipped: 0, closed: 0 })
  assert.deepEqual(broadcast.call(pulse, wss, [Buffer.from('a'), Buffer.from('b')], {}), {
    sent: 1,
    skipped: 0,
    closed: 0,
  })
  pulse.broadcast(wss, 'last')
  await until(() => messages.includes('last'), 'the last message')
  assert.deepEqual(messages, ['x', 'ab', 'last'])
})

test('other methods refuse what they cannot use with an error of ours', async (t) => {
  const pulse = createPulse(t)
  const { server, port } = await startServer(t)
  pulse.attach(server)
  await connectRaw(t, port)
  const connection = (await until(() => [...pulse.connections()][0], 'the connection')) as unknown as Record<
    string,
    (...args: unknown[]) => unknown
  >
  const bare = Object.create(null)
  const { on, once, off, addCheck } = loose(pulse)
  const calls: (() => unknown)[] = [
    () => on.call(pulse, 'warning'),
    () => on.call(pulse, 'warning', 'x'),
    () => once.call(pulse, 'warning', null),
    () => off.call(pulse, 'warning', undefined),
    () => on.call(pulse, undefined, () => {}),
    () => on.call(pulse, bare, () => {}),
    () => on.call(pulse, 'toString', () => {}),
    () => on.call(pulse, Symbol('x'), () => {}),
    () => addCheck.call(pulse),
    () => addCheck.call(pulse, bare, () => {}),
    () => addCheck.call(pulse, 'a', 'b'),
    () => addCheck.call(pulse, 'a', () => {}, null),
    () => addCheck.call(pulse, 'a', () => {}, 'readyz'),
    () => addCheck.call(pulse, 'a', () => {}, { probe: bare }),
    () => addCheck.call(pulse, 'a', () => {}, { probe: 'toString' }),
    () => connection.track?.(),
    () => connection.track?.(bare),
    () => connection.track?.('a', 'b'),
    () => connection.track?.('a', null),
    () => connection.close?.(bare),
    () => connection.close?.('toString'),
    () => connection.terminate?.(null),
    ...[0, -1, Number.NaN, Number.POSITIVE_INFINITY, '5', null, undefined, bare, Symbol('x')].map(
      (value) => () => {
        ;(connection as Record<string, unknown>).idleTimeoutMs = value
      },
    ),
  ]
  for (const call of calls) refusal('PEERPULSE_ERR_INVALID_ARGUMENT', call)
  for (const value of [
    null,
    undefined,
    0,
    'x',
    Symbol('x'),
    bare,
    [],
    new Date(),
    { socket: null },
    { req: null },
  ])
    assert.equal(loose(pulse).connectionOf.call(pulse, value), undefined)
  assert.doesNotThrow(() => addCheck.call(pulse, 'a', () => {}, undefined))
})

for (const [name, create] of [
  ['Express 4', express4],
  ['Express 5', express],
] as [string, typeof express][])
  test(`${name}: the middleware passed without being called tells so, and no request hangs`, async (t) => {
    const pulse = createPulse(t)
    const app = create()
    const errors: unknown[] = []
    app.use(pulse.middleware as never)
    app.get('/', (_req: IncomingMessage, res: ServerResponse) => void res.end('never'))
    app.use((error: unknown, _req: unknown, res: ServerResponse, _next: unknown) => {
      errors.push(error)
      res.writeHead(500).end(String(error))
    })
    const server = createServer(app)
    t.after(() => stopServer(server))
    const port = await listen(server)
    const status = await new Promise((resolve, reject) =>
      get({ port, agent: false }, (res) => res.resume().on('end', () => resolve(res.statusCode))).on(
        'error',
        reject,
      ),
    )
    assert.equal(status, 500)
    const [error] = errors as [PeerpulseError]
    assert.equal(error.code, 'PEERPULSE_ERR_INVALID_ARGUMENT')
    assert.match(error.message, /app\.use\(pulse\.middleware\(\)\)/)
  })

test('the middleware passed to a server without being called answers 500, and warns', async (t) => {
  const pulse = createPulse(t)
  const warned = once(process, 'warning')
  const { port } = await startServer(t, pulse.middleware as never)
  const res = await fetch(`http://127.0.0.1:${port}/`, { headers: { connection: 'close' } })
  assert.equal(res.status, 500)
  assert.match(await res.text(), /app\.use\(pulse\.middleware\(\)\)/)
  assert.match(String(await warned), /app\.use\(pulse\.middleware\(\)\)/)
})

test('an argument for the middleware is refused where it was passed', (t) => {
  const pulse = createPulse(t)
  refusal('PEERPULSE_ERR_INVALID_ARGUMENT', () => loose(pulse).middleware({ probes: false }))
})
