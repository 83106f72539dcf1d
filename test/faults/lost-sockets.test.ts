import assert from 'node:assert/strict'
import { fork } from 'node:child_process'
import net, { type Socket } from 'node:net'
import { test } from 'node:test'
import { peerpulse } from 'peerpulse'
import { WebSocketServer } from 'ws'
import { socketOf } from '../guards/support.js'
import { badFrames, request } from '../support/frames.js'
import { connectRaw, connectTcp, requestRaw, upgradeRaw } from '../support/raw-peer.js'
import { listen, startServer } from '../support/servers.js'
import { heard, until } from '../support/wait.js'
import { Closes } from '../support/watched.js'

/** How a socket may have ended before it is handed to the server. */
const deaths = {
  'was reset': { reason: 'peer-reset', end: (peer: { reset(): void }) => peer.reset(), wait: 'close' },
  'was ended by its peer': {
    reason: 'peer-closed',
    end: (peer: { end(): void }) => peer.end(),
    wait: 'close',
  },
  'was destroyed': {
    reason: 'server-closed',
    end: (_: unknown, socket: Socket) => void socket.destroy(),
    wait: 'close',
  },
  'is being destroyed': {
    reason: 'server-closed',
    end: (_: unknown, socket: Socket) => void socket.destroy(),
    wait: undefined,
  },
} as const

for (const secure of [false, true]) {
  for (const [how, { reason, end, wait }] of Object.entries(deaths)) {
    test(`a socket that ${how} before an ${secure ? 'https' : 'http'} server got it is not counted as open`, async (t) => {
      const pulse = peerpulse({ limits: { maxConnections: 2 }, drain: { signals: [] } })
      t.after(() => pulse.detach())
      const closes = new Closes(pulse)
      const { server } = await startServer(t, (_, res) => void res.end('hello'), { secure })
      pulse.attach(server)
      const accepted: Socket[] = []
      const front = net.createServer((socket) => accepted.push(socket.on('error', () => {})))
      t.after(() => new Promise((resolve) => front.close(resolve)))
      const port = await listen(front as never)
      for (let i = 1; i <= 4; i++) {
        const peer = await connectTcp(t, port)
        await until(() => accepted.length === i, 'the socket')
        const socket = accepted.at(-1) as Socket
        const closed = heard(socket, 'close')
        // It must be read, or its reset is not seen.
        socket.resume()
        end(peer, socket)
        if (wait !== undefined) await closed
        server.emit('connection', socket)
        assert.equal(pulse.snapshot().connections.open, 0)
        await until(() => closes.all.length === i, 'the close')
        assert.equal(closes.all.at(-1)?.reason, reason)
      }
      const { durationMs } = await pulse.drain('nobody is here')
      assert.ok(durationMs < 25_000)
    })
  }
}

const allOf = (emitter: { removeAllListeners(event?: string): unknown }) => emitter.removeAllListeners()
const ends = (emitter: { removeAllListeners(event?: string): unknown }) => {
  for (const event of ['error', 'end', 'close']) emitter.removeAllListeners(event)
}

for (const secure of [false, true]) {
  for (const [which, takeOff] of Object.entries({ all: allOf, 'error, end and close': ends })) {
    const name = (what: string) => `${secure ? 'https' : 'http'}: ${what}, without its listeners (${which})`

    test(name('a reset between requests'), async (t) => {
      const pulse = peerpulse({ drain: false })
      t.after(() => pulse.detach())
      const closes = new Closes(pulse)
      const sockets: Socket[] = []
      const { server, port } = await startServer(
        t,
        (req, res) => {
          sockets.push(req.socket)
          res.end('hello')
        },
        { secure },
      )
      pulse.attach(server)
      const peer = await connectRaw(t, port, secure)
      await requestRaw(peer)
      takeOff(sockets[0] as Socket)
      peer.reset()
      assert.equal((await closes.wait(peer.port)).closeReason, 'peer-reset')
    })

    test(name('a reset in the middle of a response'), async (t) => {
      const pulse = peerpulse({ drain: false })
      t.after(() => pulse.detach())
      const closes = new Closes(pulse)
      const { server, port } = await startServer(
        t,
        (req, res) => {
          res.writeHead(200, { 'Content-Length': 100 }).write('half')
          takeOff(req.socket)
        },
        { secure },
      )
      pulse.attach(server)
      const peer = await connectRaw(t, port, secure)
      peer.write(request())
      await peer.expect('half')
      peer.reset()
      const { closeReason, evidence } = await closes.wait(peer.port)
      assert.equal(closeReason, 'peer-reset')
      assert.equal(evidence?.phase, 'request')
    })

    test(name('a reset after an upgrade'), async (t) => {
      const pulse = peerpulse({ drain: false })
      t.after(() => pulse.detach())
      const closes = new Closes(pulse)
      const { server, port } = await startServer(t, undefined, { secure })
      server.on('upgrade', (_, socket) => {
        socket.write('HTTP/1.1 101 Switching Protocols\r\nUpgrade: x\r\nConnection: Upgrade\r\n\r\n')
        takeOff(socket)
        socket.resume()
      })
      pulse.attach(server)
      const peer = await upgradeRaw(t, port, { secure })
      peer.reset()
      assert.equal((await closes.wait(peer.port)).closeReason, 'peer-reset')
    })

    test(name('a reset of a WebSocket whose socket lost them'), async (t) => {
      const pulse = peerpulse({ drain: false })
      t.after(() => pulse.detach())
      const closes = new Closes(pulse)
      const { server, port } = await startServer(t, undefined, { secure })
      const wss = new WebSocketServer({ server })
      wss.on('connection', (webSocket) => takeOff(socketOf(webSocket).resume()))
      pulse.attach(server, wss)
      const peer = await upgradeRaw(t, port, { secure })
      peer.reset()
      assert.equal((await closes.wait(peer.port)).closeReason, 'peer-reset')
    })

    test(name('a malformed frame for a WebSocket'), async (t) => {
      const pulse = peerpulse({ drain: false })
      t.after(() => pulse.detach())
      const closes = new Closes(pulse)
      const { server, port } = await startServer(t, undefined, { secure })
      const wss = new WebSocketServer({ server })
      wss.on('connection', (webSocket) => takeOff(webSocket))
      pulse.attach(server, wss)
      const peer = await upgradeRaw(t, port, { secure })
      peer.write(badFrames['reserved opcode'] as Buffer)
      assert.equal((await closes.wait(peer.port)).closeReason, 'protocol-error')
    })
  }
}

test('the end of a socket is seen though nothing tells of it', async (t) => {
  const pulse = peerpulse({ drain: false })
  t.after(() => pulse.detach())
  const closes = new Closes(pulse)
  const sockets: Socket[] = []
  const { server, port } = await startServer(t, (req, res) => {
    sockets.push(req.socket)
    res.end('hello')
  })
  pulse.attach(server)
  const peer = await connectRaw(t, port)
  await requestRaw(peer)
  sockets[0]?.removeAllListeners()
  sockets[0]?.destroy()
  const { closeReason } = await closes.wait(peer.port)
  assert.equal(closeReason, 'server-closed')
})

test('a socket that the app hands to a child process is no longer counted', async (t) => {
  const pulse = peerpulse({ drain: false })
  t.after(() => pulse.detach())
  const closes = new Closes(pulse)
  const { server, port } = await startServer(t)
  pulse.attach(server)
  const child = fork(new URL('./fixtures/socket-taker.js', import.meta.url))
  t.after(() => child.kill())
  await heard(child, 'message')
  server.on('connection', (socket) => child.send('take it', socket))
  const peer = await connectTcp(t, port)
  await peer.expect('taken')
  await closes.wait(peer.port)
  assert.equal(pulse.snapshot().connections.open, 0)
})
