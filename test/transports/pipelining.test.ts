/** Peers that pipeline: bounded by not running what cannot be answered yet, and never cut for it. */
import assert from 'node:assert/strict'
import { AsyncLocalStorage } from 'node:async_hooks'
import { mkdtempSync, rmSync } from 'node:fs'
import { createServer, type RequestListener, type Server, type ServerResponse } from 'node:http'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { describe, type TestContext, test } from 'node:test'
import tls from 'node:tls'
import { peerpulse } from 'peerpulse'
import { request } from '../support/frames.js'
import { connectRaw } from '../support/raw-peer.js'
import { listen, makeServer, startServer, stopServer } from '../support/servers.js'
import { heard, pause, turn, until } from '../support/wait.js'
import { Closes } from '../support/watched.js'

async function start(
  t: TestContext,
  listener: RequestListener,
  { secure = false, prepare }: { secure?: boolean; prepare?: (server: Server) => void } = {},
) {
  const pulse = peerpulse({ drain: { signals: [], readinessDelayMs: 0, spreadMs: 0, deadlineMs: 20_000 } })
  t.after(() => pulse.detach())
  const { port } = await startServer(t, listener, {
    secure,
    prepare: (server) => {
      pulse.attach(server)
      prepare?.(server)
    },
  })
  return { pulse, port, closes: new Closes(pulse) }
}

const numbered = (count: number) => Array.from({ length: count }, (_, i) => request(`/${i}`)).join('')
const bodyBytes = 20_000

for (const secure of [false, true]) {
  describe(secure ? 'https' : 'http', () => {
    for (const [how, answer] of [
      ['at once', (res: ServerResponse) => void res.end(Buffer.alloc(bodyBytes))],
      ['later', (res: ServerResponse) => void setImmediate(() => res.end(Buffer.alloc(bodyBytes)))],
    ] as const) {
      // Node itself fails there, of any version: its TLS socket goes on while the parser is paused (HPE_PAUSED).
      if (secure && how === 'at once') continue
      test(`3,000 requests that are answered ${how}, of a client that reads all the time, are all answered`, async (t) => {
        let inFlight = 0
        let most = 0
        let mostBuffered = 0
        const order: string[] = []
        const { pulse, port, closes } = await start(
          t,
          (req, res) => {
            order.push(req.url as string)
            most = Math.max(most, ++inFlight)
            res.on('close', () => inFlight--)
            answer(res)
            const { bufferedBytes = 0 } = pulse.connectionOf(req) ?? {}
            mostBuffered = Math.max(mostBuffered, bufferedBytes)
          },
          { secure },
        )
        const peer = await connectRaw(t, port, secure)
        // Counted only: 60 MB need not be kept.
        peer.stream.removeAllListeners('data')
        let got = 0
        peer.stream.on('data', (chunk: Buffer) => {
          got += chunk.length
        })
        peer.write(numbered(3_000))
        await until(() => got >= 3_000 * bodyBytes || peer.closed, 'all of the answers')
        assert.deepEqual(closes.all, [])
        assert.deepEqual(
          order,
          Array.from({ length: 3_000 }, (_, i) => `/${i}`),
        )
        assert.ok(most <= 65, `${most} ran at a time`)
        assert.ok(mostBuffered < 4 * 1024 * 1024, `${mostBuffered} bytes waited`)
      })
    }
  })
}

test('those that wait are never run when the peer has gone', async (t) => {
  let runs = 0
  const { port, closes } = await start(t, () => void runs++)
  const peer = await connectRaw(t, port)
  peer.write(numbered(500))
  await until(() => runs >= 64, 'some to run')
  peer.reset()
  await closes.wait(peer.port)
  await turn()
  assert.equal(runs, 64)
})

test('a peer that has sent its FIN gets all answers that are given in the same turn', async (t) => {
  const { port } = await start(t, (req, res) => void setImmediate(() => res.end(`answer ${req.url};`)))
  const peer = await connectRaw(t, port)
  peer.stream.end(numbered(300))
  await peer.gone()
  const answers = peer.text.match(/answer \/\d+;/g) ?? []
  assert.deepEqual(
    answers,
    Array.from({ length: 300 }, (_, i) => `answer /${i};`),
  )
})

test('requests that wait on a unix socket with TLS are no reset', {
  skip: process.platform === 'win32',
}, async (t) => {
  const pulse = peerpulse({ drain: false })
  t.after(() => pulse.detach())
  const waiting: ServerResponse[] = []
  const server = makeServer((_, res) => void waiting.push(res), true)
  t.after(() => stopServer(server))
  pulse.attach(server)
  const folder = mkdtempSync(join(tmpdir(), 'pulse-'))
  t.after(() => rmSync(folder, { recursive: true }))
  const path = join(folder, 'https.sock')
  server.listen(path)
  await heard(server, 'listening')
  const closed: unknown[] = []
  pulse.on('connection:close', ({ closeReason }) => closed.push(closeReason))
  const peer = tls.connect({ path, rejectUnauthorized: false })
  let text = ''
  peer.on('data', (chunk) => (text += chunk)).on('error', () => {})
  peer.write(numbered(100))
  await until(() => waiting.length === 64, 'some to run')
  // Long enough for it to be looked at.
  await pause(2_500)
  for (let i = 0; i < 100; i++) {
    await until(() => waiting[i] !== undefined || closed.length > 0, 'the next')
    waiting[i]?.end(`answer ${i};`)
  }
  await until(() => text.includes('answer 99;') || closed.length > 0, 'all answers')
  assert.deepEqual(closed, [])
  peer.destroy()
})

test('a request that waits keeps the async context that it came in', async (t) => {
  const storage = new AsyncLocalStorage<string>()
  const seen: (string | undefined)[] = []
  const { port } = await start(
    t,
    (_, res) => {
      seen.push(storage.getStore())
      setImmediate(() => res.end('ok'))
    },
    {
      prepare: (server) => {
        // As a tool for tracing does.
        const { emit } = server
        let count = 0
        server.emit = function (this: Server, event: string, ...args: unknown[]) {
          const run = () => Reflect.apply(emit, this, [event, ...args])
          return event === 'request' ? storage.run(`request ${count++}`, run) : run()
        } as never
      },
    },
  )
  const peer = await connectRaw(t, port)
  peer.write(numbered(300))
  await until(() => seen.length === 300, 'all of them')
  assert.deepEqual(
    seen,
    Array.from({ length: 300 }, (_, i) => `request ${i}`),
  )
})

test('while requests wait nothing more is read, however often a response drains', async (t) => {
  let answered = 0
  const { pulse, port } = await start(t, (_, res) => {
    let left = 20
    const writeOn = () => {
      while (left-- > 0) if (!res.write(Buffer.alloc(bodyBytes))) return void res.once('drain', writeOn)
      res.end(() => answered++)
    }
    writeOn()
  })
  const peer = await connectRaw(t, port)
  peer.stream.removeAllListeners('data')
  peer.stream.resume()
  peer.write(numbered(20_000))
  await until(() => answered >= 64, 'some answers')
  const { bytesRead } = [...pulse.connections()][0] ?? assert.fail('it was closed')
  assert.ok(bytesRead <= 2 * 65_536, `${bytesRead} bytes were read`)
})

test('a request of which a part has come while others wait is not late', async (t) => {
  const responses: ServerResponse[] = []
  let timeouts = 0
  const server = createServer({ connectionsCheckingInterval: 20, headersTimeout: 200 }, (_, res) => {
    responses.push(res)
  })
  server.on('clientError', () => timeouts++)
  const pulse = peerpulse({ drain: { signals: [] } })
  t.after(() => pulse.detach())
  pulse.attach(server)
  const port = await listen(server)
  t.after(() => stopServer(server))
  const peer = await connectRaw(t, port)
  peer.write(`${numbered(100)}GET /last HTTP/1.1\r\nHo`)
  await until(() => responses.length === 64, 'those that run')
  await pause(600)
  peer.write('st: x\r\n\r\n')
  await until(() => {
    for (const response of responses) if (!response.writableEnded) response.end('ok')
    return responses.length === 101 || peer.closed
  }, 'all of them')
  await until(() => peer.text.match(/HTTP\/1\.1 200/g)?.length === 101 || peer.closed, 'all answers')
  assert.equal(timeouts, 0)
  assert.equal(peer.closed, false)
})

for (const how of ['at once', 'later'])
  test(`a drain answers all that wait ${how}`, async (t) => {
    const responses: ServerResponse[] = []
    const { pulse, port } = await start(t, (_, res) => {
      if (how === 'at once' && responses.length >= 64) res.end('ok')
      responses.push(res)
    })
    const peer = await connectRaw(t, port)
    peer.write(numbered(300))
    await until(() => responses.length === 64, 'those that run')
    void pulse.drain()
    await until(() => {
      for (const response of responses) if (!response.writableEnded) response.end('ok')
      return peer.closed
    }, 'the end')
    assert.equal(peer.text.match(/HTTP\/1\.1 200/g)?.length, 300)
    assert.equal(peer.text.match(/^Connection: close\r$/gm)?.length, 1)
  })

test('a drain answers those that wait, the last with Connection: close', async (t) => {
  const responses: ServerResponse[] = []
  const { pulse, port } = await start(t, (_, res) => void responses.push(res))
  const peer = await connectRaw(t, port)
  peer.write(numbered(100))
  await until(() => responses.length === 64, 'those that run')
  const draining = pulse.drain()
  await until(() => {
    for (const response of responses) if (!response.writableEnded) response.end('ok')
    return peer.closed
  }, 'the end')
  assert.equal(responses.length, 100)
  assert.equal(peer.text.match(/HTTP\/1\.1 200/g)?.length, 100)
  assert.equal(peer.text.match(/^Connection: close\r$/gm)?.length, 1)
  assert.equal((await draining).deadlineExceeded, false)
})

test('detach hands over those that wait', async (t) => {
  const responses: ServerResponse[] = []
  const { pulse, port } = await start(t, (_, res) => void responses.push(res))
  const peer = await connectRaw(t, port)
  peer.write(numbered(200))
  await until(() => responses.length === 64, 'those that run')
  await pulse.detach()
  assert.equal(responses.length, 200)
  for (const response of responses) response.end('ok')
  await until(() => peer.text.match(/HTTP\/1\.1 200/g)?.length === 200, 'all answers')
})

test('a handler that throws takes no request behind it along', async (t) => {
  const caught: unknown[] = []
  const { port } = await start(t, () => {}, {
    prepare: (server) => {
      server.removeAllListeners('request')
      server.on('request', (req, res) => {
        if (req.url !== '/100') return void setImmediate(() => res.end('ok'))
        res.statusCode = 500
        res.end('failed')
        throw new Error('of the app')
      })
      const { emit } = server
      server.emit = function (this: Server, ...args: unknown[]) {
        try {
          return Reflect.apply(emit, this, args)
        } catch (error) {
          caught.push(error)
          return true
        }
      } as never
    },
  })
  const uncaught = (error: unknown) => caught.push(error)
  const others = process.listeners('uncaughtException')
  process.removeAllListeners('uncaughtException')
  process.on('uncaughtException', uncaught)
  t.after(() => {
    process.removeListener('uncaughtException', uncaught)
    for (const other of others) process.on('uncaughtException', other)
  })
  const peer = await connectRaw(t, port)
  peer.write(numbered(300))
  await until(() => peer.text.match(/HTTP\/1\.1/g)?.length === 300, 'all answers')
  assert.equal(caught.length, 1)
})

test('requests that wait behind a response which its app destroyed run, or the connection ends', async (t) => {
  const responses: ServerResponse[] = []
  const { port } = await start(t, (_, res) => {
    responses.push(res)
    if (responses.length === 64) res.destroy()
    if (responses.length > 64) res.end()
  })
  const peer = await connectRaw(t, port)
  peer.write(numbered(64))
  await until(() => responses.length === 64, 'so many as run at a time')
  await turn()
  peer.write(numbered(3))
  // They come in a read of their own, and have to wait.
  await pause(50)
  for (const response of responses) response.end()
  await until(() => responses.length === 67 || peer.closed, 'the others, or the end')
})
