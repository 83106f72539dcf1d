/** The last response of a connection: which it is, what the app may say in it, and what becomes of requests behind it. */
import assert from 'node:assert/strict'
import type { RequestListener, ServerResponse } from 'node:http'
import net from 'node:net'
import { describe, type TestContext, test } from 'node:test'
import { type Peerpulse, type PeerpulseOptions, peerpulse } from 'peerpulse'
import { request, upgradeRequest } from '../support/frames.js'
import { connectRaw, type RawPeer, readResponse, requestRaw } from '../support/raw-peer.js'
import { startServer } from '../support/servers.js'
import { pause, until } from '../support/wait.js'
import { Closes } from '../support/watched.js'

const drain = {
  signals: [],
  readinessDelayMs: 300,
  spreadMs: 0,
  closeTimeoutMs: 1_000,
  deadlineMs: 20_000,
}
const atOnce = { ...drain, readinessDelayMs: 0 }

async function start(
  t: TestContext,
  secure: boolean,
  listener: RequestListener,
  options: PeerpulseOptions = { drain },
): Promise<{ pulse: Peerpulse; peer: RawPeer; port: number; closes: Closes }> {
  const pulse = peerpulse(options)
  t.after(() => pulse.detach())
  const { port } = await startServer(t, listener, { secure, prepare: (server) => pulse.attach(server) })
  return { pulse, port, peer: await connectRaw(t, port, secure), closes: new Closes(pulse) }
}

/** Every documented way to give a response its headers, each with a cookie that comes twice. */
const ways: Record<string, (res: ServerResponse) => void> = {
  'writeHead with a flat list': (res) => res.writeHead(200, ['Set-Cookie', 'a=1', 'Set-Cookie', 'b=2']),
  'writeHead with a message and a flat list': (res) =>
    res.writeHead(200, 'Fine', ['Set-Cookie', 'a=1', 'Set-Cookie', 'b=2']),
  'writeHead with an object': (res) => res.writeHead(200, { 'Set-Cookie': ['a=1', 'b=2'] }),
  'setHeader with a list': (res) => void res.setHeader('Set-Cookie', ['a=1', 'b=2']),
  appendHeader: (res) => void res.appendHeader('Set-Cookie', 'a=1').appendHeader('Set-Cookie', 'b=2'),
  'setHeader, then writeHead with an object': (res) => {
    res.setHeader('Set-Cookie', ['a=1', 'b=2'])
    res.writeHead(200, { 'X-More': '1' })
  },
  setHeaders: (res) => {
    const headers = new Headers([
      ['Set-Cookie', 'a=1'],
      ['Set-Cookie', 'b=2'],
    ])
    if (typeof res.setHeaders === 'function') res.setHeaders(headers)
    else res.setHeader('Set-Cookie', headers.getSetCookie())
  },
  flushHeaders: (res) => {
    res.setHeader('Set-Cookie', ['a=1', 'b=2'])
    res.flushHeaders()
  },
  'removeHeader of a Connection that was never set': (res) => {
    res.setHeader('Set-Cookie', ['a=1', 'b=2'])
    res.removeHeader('Connection')
  },
}

describe('in a drain every documented form of headers comes through, and the connection ends', () => {
  for (const [way, head] of Object.entries(ways)) {
    test(way, async (t) => {
      const { pulse, peer } = await start(t, false, (_, res) => {
        head(res)
        res.end('ok')
      })
      void pulse.drain()
      peer.write(request('/'))
      await peer.gone()
      assert.deepEqual(
        [...peer.text.matchAll(/^set-cookie: (.*)\r$/gim)].map(([, cookie]) => cookie),
        ['a=1', 'b=2'],
      )
      assert.equal(/^connection: close\r$/im.test(peer.text), !way.startsWith('removeHeader'))
      assert.equal(pulse.snapshot().totals.callbackErrors, 0)
    })
  }

  test('an app that says Connection: keep-alive itself has the last word', async (t) => {
    const { pulse, peer } = await start(
      t,
      false,
      (_, res) => {
        res.writeHead(200, ['Connection', 'keep-alive', 'Content-Length', '2'])
        res.end('ok')
      },
      { drain: { ...drain, readinessDelayMs: 3_000 } },
    )
    void pulse.drain()
    for (let i = 0; i < 3; i++) assert.match(await requestRaw(peer, '/'), /Connection: keep-alive\r\n/)
  })
})

for (const secure of [false, true]) {
  describe(secure ? 'https' : 'http', () => {
    test('a request that crosses our FIN is not run, since it cannot be answered', async (t) => {
      let runs = 0
      const { pulse, peer, closes } = await start(t, secure, (_, res) => void res.end(String(++runs)), {
        drain: atOnce,
      })
      await requestRaw(peer)
      const connection = [...pulse.connections()][0]
      // It is on the way already.
      setImmediate(() => peer.write(`${request('/', { 'Content-Length': '2' }, 'POST')}hi`))
      connection?.close()
      const { closeReason } = await closes.wait(peer.port)
      assert.equal(closeReason, 'server-closed')
      assert.equal(runs, 1)
    })

    test('an upgrade that crosses our FIN never reaches the app', async (t) => {
      let upgrades = 0
      const pulse = peerpulse({ drain: atOnce })
      t.after(() => pulse.detach())
      const { port } = await startServer(t, (_, res) => void res.end(), {
        secure,
        prepare: (server) => {
          server.on('upgrade', () => upgrades++)
          pulse.attach(server)
        },
      })
      const closes = new Closes(pulse)
      const peer = await connectRaw(t, port, secure)
      await requestRaw(peer)
      setImmediate(() => peer.write(upgradeRequest()))
      for (const connection of pulse.connections()) connection.close()
      await closes.wait(peer.port)
      assert.equal(upgrades, 0)
    })

    for (const [what, half, rest] of [
      ['half of its headers', 'POST / HTTP/1.1\r\nHost: x\r\nCook', 'ie: a\r\nContent-Length: 2\r\n\r\nhi'],
      ['one byte', 'P', 'OST / HTTP/1.1\r\nHost: x\r\nContent-Length: 2\r\n\r\nhi'],
    ] as const) {
      for (const [where, before] of [
        ['on a pooled connection', 1],
        ['on a new connection', 0],
      ] as const) {
        test(`a request of which ${what} has come ${where} is waited for in a drain, and is the last`, async (t) => {
          let runs = 0
          const { pulse, peer, closes } = await start(
            t,
            secure,
            (req, res) => {
              runs++
              req.resume().on('end', () => res.end('done'))
            },
            { drain: atOnce },
          )
          for (let i = 0; i < before; i++) await requestRaw(peer)
          const already = runs
          peer.write(half)
          const [connection] = pulse.connections()
          const known = connection?.bytesRead ?? 0
          await until(() => (connection?.bytesRead ?? 0) > known || (before === 0 && known > 0), 'the half')
          const draining = pulse.drain()
          // Longer than the drain gives a connection without a request, and several looks.
          await pause(900)
          assert.equal(peer.ended, false)
          peer.write(rest)
          assert.match(await readResponse(peer), /Connection: close\r\n[\s\S]*done$/)
          assert.equal(runs, already + 1)
          assert.equal((await closes.wait(peer.port)).closeReason, 'drain')
          assert.equal((await draining).deadlineExceeded, false)
        })
      }
    }

    test('half of a request that came on a connection which had idled for long is waited for, too', async (t) => {
      const { pulse, peer } = await start(t, secure, (_, res) => void res.end('done'), { drain: atOnce })
      await requestRaw(peer)
      // Longer than a request that has begun may be silent.
      await pause(5_200)
      const [connection] = pulse.connections()
      const known = connection?.bytesRead ?? 0
      peer.write('GET / HTTP/1.1\r\nHo')
      await until(() => (connection?.bytesRead ?? 0) > known, 'the half')
      const draining = pulse.drain()
      await pause(300)
      peer.write('st: x\r\n\r\n')
      assert.match(await readResponse(peer), /done$/)
      assert.equal((await draining).deadlineExceeded, false)
    })

    test('a drain does not wait for the rest of a request that never comes', async (t) => {
      const { pulse, peer } = await start(t, secure, (_, res) => void res.end(), { drain: atOnce })
      await requestRaw(peer)
      peer.write('POST / HTTP/1.1\r\nHost: x\r\nCook')
      const report = await pulse.drain()
      assert.equal(report.deadlineExceeded, false)
    })

    test('requests that are pipelined in a drain are each answered, the last with Connection: close', async (t) => {
      const waiting: (() => void)[] = []
      const { pulse, peer } = await start(t, secure, (req, res) => {
        waiting.push(() => res.end(req.url))
      })
      peer.write(request('/1'))
      await until(() => waiting.length === 1, 'the first')
      void pulse.drain()
      await until(() => pulse.snapshot().draining, 'the drain')
      peer.write(request('/2') + request('/3'))
      await until(() => waiting.length === 3, 'all of them')
      for (const answer of waiting) answer()
      const answers = [await readResponse(peer), await readResponse(peer), await readResponse(peer)]
      assert.deepEqual(
        answers.map((text) => [text.slice(-2), /^Connection: close\r$/m.test(text)]),
        [
          ['/1', false],
          ['/2', false],
          ['/3', true],
        ],
      )
      await peer.gone()
    })

    test('a request behind a response that says Connection: close is not run', async (t) => {
      let runs = 0
      let finish: (() => void) | undefined
      const { pulse, peer } = await start(t, secure, (req, res) => {
        runs++
        res.write('begun')
        finish = () => res.end('done')
        if (req.url === '/1') void pulse.drain()
      })
      void pulse.drain()
      peer.write(request('/1'))
      await peer.expect('begun')
      peer.write(request('/2'))
      const [connection] = pulse.connections()
      await until(() => (connection?.bytesRead ?? 0) > request('/1').length, 'the second')
      finish?.()
      await peer.gone()
      assert.equal(runs, 1)
      assert.match(peer.text, /done/)
    })
  })
}

for (const first of [0, 1])
  test(`an early answer is not lost to a reset after one of two pulses has left (${first})`, async (t) => {
    const pulses = [peerpulse({ drain }), peerpulse({ drain })]
    for (const pulse of pulses) t.after(() => pulse.detach())
    let response: ServerResponse | undefined
    const { port, sockets } = await startServer(
      t,
      (_, res) => {
        response = res
      },
      {
        prepare: (server) => {
          for (const pulse of pulses) pulse.attach(server)
        },
      },
    )
    const peer = net.connect({ port, host: '127.0.0.1', allowHalfOpen: true }).resume()
    t.after(() => peer.destroy())
    peer.write(request('/', { 'Content-Length': '100' }, 'POST'))
    const early = await until(() => response, 'the request')
    for (const pulse of pulses) pulse.connectionOf(early.req)?.close()
    await pulses[first]?.detach()
    early.writeHead(413, { 'Content-Length': '0' }).end()
    await until(() => peer.readableEnded, 'our FIN')
    const [socket] = sockets
    assert.equal(socket?.destroyed, false)
    await pulses[1 - first]?.detach()
    assert.equal(Object.hasOwn(socket ?? {}, 'destroySoon'), false)
  })

for (const isAlone of [true, false])
  test(`a connection whose body is still read is not left open for ever when its pulse leaves (${isAlone ? 'the only one' : 'one of two'})`, async (t) => {
    const pulses = [peerpulse({ drain }), ...(isAlone ? [] : [peerpulse({ drain })])]
    for (const pulse of pulses) t.after(() => pulse.detach())
    let response: ServerResponse | undefined
    const { port, sockets } = await startServer(
      t,
      (_, res) => {
        response = res
      },
      {
        prepare: (server) => {
          for (const pulse of pulses) pulse.attach(server)
        },
      },
    )
    const peer = net.connect({ port, host: '127.0.0.1', allowHalfOpen: true }).resume()
    t.after(() => peer.destroy())
    peer.write(request('/', { 'Content-Length': '100' }, 'POST'))
    const early = await until(() => response, 'the request')
    for (const pulse of pulses) pulse.connectionOf(early.req)?.close()
    early.writeHead(413, { 'Content-Length': '0' }).end()
    await until(() => peer.readableEnded, 'our FIN')
    await pulses[0]?.detach()
    peer.write(Buffer.alloc(100))
    const [socket] = sockets
    await until(() => socket?.destroyed, 'the end of a connection that its peer keeps half open')
  })

for (const secure of [false, true]) {
  const scheme = secure ? 'https' : 'http'

  /** A request whose socket has a `destroySoon` of the app's, around the one that it had. */
  async function wrapped(t: TestContext) {
    let response: ServerResponse | undefined
    let calls = 0
    const [pulse, other] = [peerpulse({ drain }), peerpulse({ drain })]
    const { port } = await startServer(
      t,
      (_, res) => {
        response = res
      },
      { secure, prepare: (server) => void [pulse, other].map((each) => each.attach(server)) },
    )
    t.after(() => Promise.all([pulse.detach(), other.detach()]))
    const peer = await connectRaw(t, port, secure)
    peer.write(request('/'))
    const res = await until(() => response, 'the request')
    const { socket } = res.req
    function wrap() {
      const { destroySoon } = socket
      socket.destroySoon = function (this: net.Socket) {
        calls++
        destroySoon.call(this)
      }
      return socket.destroySoon
    }
    const isOver = () => until(() => peer.closed, 'the end')
    return { pulse, other, res, socket, wrap, isOver, calls: () => calls }
  }

  test(`${scheme}: a destroySoon of the app's own ends the last response`, async (t) => {
    const { pulse, res, wrap, isOver, calls } = await wrapped(t)
    wrap()
    pulse.connectionOf(res.req)?.close()
    res.end('ok')
    await isOver()
    assert.equal(calls(), 1)
  })

  test(`${scheme}: detach gives a destroySoon of the app's own back`, async (t) => {
    const { pulse, res, socket, wrap } = await wrapped(t)
    const own = wrap()
    pulse.connectionOf(res.req)?.close()
    await pulse.detach()
    assert.equal(socket.destroySoon, own)
    res.end('ok')
  })

  test(`${scheme}: a destroySoon of the app's that is around ours and under it ends the last response once`, async (t) => {
    const { pulse, other, res, wrap, isOver, calls } = await wrapped(t)
    pulse.connectionOf(res.req)?.close()
    wrap()
    await pulse.detach()
    other.connectionOf(res.req)?.close()
    res.end('ok')
    await isOver()
    assert.equal(calls(), 1)
  })
}
