/** An app goes on writing to what we have ended until it learns of that: none of its ordinary writes may be fatal. */
import assert from 'node:assert/strict'
import type { RequestListener, ServerResponse } from 'node:http'
import type { Duplex } from 'node:stream'
import { pipeline, Readable } from 'node:stream'
import { describe, type TestContext, test } from 'node:test'
import { type Connection, type Peerpulse, type PeerpulseOptions, peerpulse } from 'peerpulse'
import { createWebSocketStream, type WebSocket, WebSocketServer } from 'ws'
import { request, upgradeRequest } from '../support/frames.js'
import { connectRaw, type RawPeer, upgradeRaw } from '../support/raw-peer.js'
import { startServer } from '../support/servers.js'
import { pause, until } from '../support/wait.js'
import { Closes } from '../support/watched.js'

const drain = { signals: [], readinessDelayMs: 0, spreadMs: 0, closeTimeoutMs: 300, deadlineMs: 5_000 }
const chunk = 'x'.repeat(4_000)
/** More than the kernels take of a peer that does not read; far below every budget. */
const backlogBytes = 200_000

type End = readonly [
  how: string,
  options: PeerpulseOptions,
  end: (pulse: Peerpulse, it: Connection) => unknown,
]

const ends: readonly End[] = [
  ['a drain', { drain }, (pulse) => pulse.drain()],
  ['its lifetime', { drain, lifetime: { maxAgeMs: 300, jitter: 0 } }, () => {}],
  ['the app, through its connection', { drain }, (_, connection) => connection.close()],
  ['the app, at once', { drain }, (_, connection) => connection.terminate()],
]

interface Writing {
  readonly pulse: Peerpulse
  readonly peer: RawPeer
  readonly closes: Closes
  readonly count: Count
}

interface Count {
  /** How often the app has written. */
  writes: number
  /** Whether there is a backlog. */
  isFull: boolean
}

/** An app that writes to a peer which has stopped reading, until long after the end. */
function writeOn(
  write: () => void,
  isFull: () => boolean,
  whenClosed: (stop: () => void) => void,
  count: Count,
) {
  const timer = setInterval(() => {
    do {
      write()
      count.writes++
      count.isFull ||= isFull()
    } while (!count.isFull)
  }, 2)
  // It learns late.
  whenClosed(() => setTimeout(() => clearInterval(timer), 100))
}

async function follow(t: TestContext, it: Writing, [, , end]: End): Promise<void> {
  const { pulse, peer, closes, count } = it
  const { port } = peer
  const connection = await until(
    () => [...pulse.connections()].find(({ remotePort }) => remotePort === port) ?? closes.of(port)[0],
    'the connection',
  )
  await until(() => count.isFull || closes.of(port).length > 0, 'a backlog')
  end(pulse, connection)
  await until(() => connection.state !== 'open' || closes.of(port).length > 0, 'the end to begin')
  const before = count.writes
  await closes.wait(port)
  await until(() => count.writes > before + 10, 'the app to write on')
  await pause(200)
  t.diagnostic(`${count.writes} writes, ${count.writes - before} of them after the end had begun`)
  assert.equal(pulse.snapshot().totals.callbackErrors, 0)
}

for (const secure of [false, true]) {
  const scheme = secure ? 'https' : 'http'
  for (const end of ends) {
    const [how, options] = end

    test(`${scheme}: an event stream that is ended by ${how}, of a peer that does not read`, async (t) => {
      const count = { writes: 0, isFull: false }
      const pulse = peerpulse(options)
      t.after(() => pulse.detach())
      const listener: RequestListener = (_, res) => {
        res.writeHead(200, { 'Content-Type': 'text/event-stream' })
        writeOn(
          () => void res.write(`data: ${chunk}\n\n`),
          () => res.writableLength > backlogBytes * 2,
          (stop) => void res.on('close', stop),
          count,
        )
      }
      const { port } = await startServer(t, listener, { secure, prepare: (server) => pulse.attach(server) })
      const peer = await connectRaw(t, port, secure)
      peer.pause()
      peer.write(request('/'))
      await follow(t, { pulse, peer, count, closes: new Closes(pulse) }, end)
    })

    test(`${scheme}: a stream over a WebSocket that is ended by ${how}`, async (t) => {
      const count = { writes: 0, isFull: false }
      const pulse = peerpulse(options)
      t.after(() => pulse.detach())
      const wss = new WebSocketServer({ noServer: true })
      wss.on('connection', (webSocket: WebSocket) => {
        const stream = createWebSocketStream(webSocket)
        writeOn(
          () => void stream.write(chunk),
          () => webSocket.bufferedAmount + stream.writableLength > backlogBytes * 2,
          (stop) => void webSocket.on('close', stop),
          count,
        )
      })
      const { port } = await startServer(t, undefined, {
        secure,
        prepare: (server) => {
          server.on('upgrade', (req, socket, head) =>
            wss.handleUpgrade(req, socket, head, (webSocket) => wss.emit('connection', webSocket, req)),
          )
          pulse.attach(server, wss)
        },
      })
      const peer = await upgradeRaw(t, port, { secure })
      peer.pause()
      await follow(t, { pulse, peer, count, closes: new Closes(pulse) }, end)
    })

    test(`${scheme}: an upgraded socket that is ended by ${how}`, async (t) => {
      // Its lifetime has it closed, as all else here; a library of its own speaks on it.
      const count = { writes: 0, isFull: false }
      const pulse = peerpulse(options)
      t.after(() => pulse.detach())
      const { port } = await startServer(t, undefined, {
        secure,
        prepare: (server) => {
          server.on('upgrade', (_, socket: Duplex) => {
            socket.write('HTTP/1.1 101 Switching Protocols\r\nUpgrade: x\r\nConnection: Upgrade\r\n\r\n')
            socket.resume()
            writeOn(
              () => void socket.write(chunk),
              () => socket.writableLength > backlogBytes * 2,
              (stop) => void socket.on('close', stop),
              count,
            )
          })
          pulse.attach(server)
        },
      })
      const peer = await connectRaw(t, port, secure)
      peer.pause()
      peer.write(upgradeRequest('/', { Upgrade: 'x' }))
      await follow(t, { pulse, peer, count, closes: new Closes(pulse) }, end)
    })
  }
}

describe('with a client that reads', () => {
  for (const secure of [false, true]) {
    test(`${secure ? 'https' : 'http'}: an event stream ends in order, and what comes late is dropped`, async (t) => {
      const responses: ServerResponse[] = []
      let late = 0
      const pulse = peerpulse({ drain })
      t.after(() => pulse.detach())
      const { port } = await startServer(
        t,
        (_, res) => {
          responses.push(res)
          res.writeHead(200, { 'Content-Type': 'text/event-stream' })
          const timer = setInterval(() => {
            if (res.writableEnded) late++
            res.write('data: 1\n\n')
          }, 1)
          res.on('close', () => setTimeout(() => clearInterval(timer), 50))
        },
        { secure, prepare: (server) => pulse.attach(server) },
      )
      const peer = await connectRaw(t, port, secure)
      peer.write(request('/'))
      await peer.expect('data: 1')
      const report = await pulse.drain()
      await until(() => late > 5, 'writes after the end')
      assert.match(peer.text, /retry: \d+\n\r\n0\r\n\r\n$/)
      assert.deepEqual(report.connections.sse, { closed: 1, terminated: 0 })
    })
  }

  test('a late write is no error: it is answered false, so that who writes until then stops, and its drain comes', async (t) => {
    const errors: unknown[] = []
    const results = new Set<boolean>()
    let heldBy: ServerResponse | undefined
    let drains = 0
    const pulse = peerpulse({ drain })
    t.after(() => pulse.detach())
    const { port } = await startServer(
      t,
      (_, res) => {
        res.on('error', (error) => errors.push(error))
        res.on('drain', () => {
          if (res.writableEnded) drains++
        })
        res.writeHead(200, { 'Content-Type': 'text/event-stream' })
        heldBy = res
        const timer = setInterval(() => {
          for (let i = 0; i < 100 && res.writableLength < backlogBytes * 2; i++)
            res.write(`data: ${chunk}\n\n`)
          const isEnded = res.writableEnded && !res.destroyed
          const result = res.write('data: 1\n\n')
          if (isEnded) {
            results.add(result)
            for (let i = 0; res.write('data: 2\n\n'); i++) assert.ok(i < 1_000, 'it never says false')
          }
        }, 1)
        res.on('close', () => setTimeout(() => clearInterval(timer), 50))
      },
      { prepare: (server) => pulse.attach(server) },
    )
    const peer = await connectRaw(t, port)
    peer.pause()
    peer.write(request('/'))
    await until(() => (heldBy?.writableLength ?? 0) > backlogBytes, 'a backlog')
    await pulse.drain()
    assert.deepEqual(errors, [])
    assert.deepEqual([...results], [false])
    assert.ok(drains > 0)
  })

  test('a pipeline from a generator into an event stream that we ended is over, and so is the generator', async (t) => {
    const pulse = peerpulse({ drain })
    t.after(() => pulse.detach())
    let isOver = false
    let failed: NodeJS.ErrnoException | null | undefined
    async function* events() {
      try {
        for (;;) {
          yield 'data: 1\n\n'
          await pause(2)
        }
      } finally {
        isOver = true
      }
    }
    const { port } = await startServer(
      t,
      (_, res) => {
        res.writeHead(200, { 'Content-Type': 'text/event-stream' })
        pipeline(events(), res, (error) => {
          failed = error
        })
      },
      { prepare: (server) => pulse.attach(server) },
    )
    const peer = await connectRaw(t, port)
    peer.write(request('/'))
    await peer.expect('data: 1')
    await pulse.drain()
    await until(() => failed, 'the end of the pipeline')
    assert.equal(failed?.code, 'ERR_STREAM_PREMATURE_CLOSE')
    assert.ok(isOver)
    assert.equal(pulse.snapshot().totals.callbackErrors, 0)
  })

  test('a pipeline into a stream over a WebSocket that we ended is over soon', async (t) => {
    const pulse = peerpulse({ drain })
    t.after(() => pulse.detach())
    let reads = 0
    let failed: Error | null | undefined
    const source = new Readable({
      read() {
        reads++
        setTimeout(() => this.push(chunk), 5)
      },
    })
    t.after(() => source.destroy())
    const wss = new WebSocketServer({ noServer: true })
    const { port } = await startServer(t, undefined, {
      prepare: (server) => {
        server.on('upgrade', (req, socket, head) =>
          wss.handleUpgrade(req, socket, head, (webSocket) => {
            pipeline(source, createWebSocketStream(webSocket), (error) => {
              failed = error
            })
          }),
        )
        pulse.attach(server)
      },
    })
    const peer = await upgradeRaw(t, port)
    const closes = new Closes(pulse)
    for (const connection of pulse.connections()) connection.terminate()
    await closes.wait(peer.port)
    assert.equal(
      ((await until(() => failed, 'its end')) as NodeJS.ErrnoException).code,
      'ERR_STREAM_PREMATURE_CLOSE',
    )
    assert.ok(source.destroyed)
    t.diagnostic(`${reads} reads`)
  })

  test('a send that fails for another reason still tells its stream', async (t) => {
    const pulse = peerpulse({ drain })
    t.after(() => pulse.detach())
    let failed: Error | undefined
    const wss = new WebSocketServer({ noServer: true })
    const { port } = await startServer(t, undefined, {
      prepare: (server) => {
        server.on('upgrade', (req, socket, head) =>
          wss.handleUpgrade(req, socket, head, (webSocket) => {
            const stream = createWebSocketStream(webSocket)
            stream.on('error', (error) => {
              failed = error
            })
            webSocket.close(1000)
            stream.write('too late')
          }),
        )
        pulse.attach(server)
      },
    })
    await upgradeRaw(t, port)
    assert.match((await until(() => failed, "the stream's error")).message, /not open/)
  })
})
