import assert from 'node:assert/strict'
import { type TestContext, test } from 'node:test'
import { type ServerOptions, type WebSocket, WebSocketServer } from 'ws'
import type { PeerConnection } from '../../lib/core/connection.js'
import { peerpulse } from '../../lib/index.js'
import { tellTime } from '../guards/told-time.js'
import { clientFrame, opcodes, upgradeRequest } from '../support/frames.js'
import { connectRaw, type RawPeer, upgradeRaw } from '../support/raw-peer.js'
import { startServer } from '../support/servers.js'
import { until } from '../support/wait.js'

const { ping, pong, text, binary } = opcodes
/** As `clientFrame`, for payloads of more than 125 bytes. */
function longFrame(opcode: number, payload: Buffer): Buffer {
  const length = Buffer.alloc(2)
  length.writeUInt16BE(payload.length)
  return Buffer.concat([Buffer.from([0x80 | opcode, 0xfe]), length, Buffer.alloc(4), payload])
}

class Watched {
  readonly #tick: () => void
  constructor(
    readonly connection: PeerConnection,
    readonly webSocket: WebSocket,
    readonly peer: RawPeer,
    tick: () => void,
  ) {
    this.#tick = tick
  }

  /** The peer sends these, one after the other is read. */
  async sends(...chunks: Buffer[]): Promise<void> {
    for (const chunk of chunks) {
      const read = this.connection.bytesRead + chunk.length
      this.peer.write(chunk)
      await until(() => this.connection.bytesRead >= read, 'the chunk')
    }
  }

  /** Whether a look finds traffic in what was done, in either direction. */
  async traffic(does: (watched: this) => unknown): Promise<'in' | 'out' | 'none'> {
    this.#tick()
    const { active, inboundActive } = this.connection
    this.#tick()
    await does(this)
    this.#tick()
    if (this.connection.inboundActive > inboundActive) return 'in'
    return this.connection.active > active ? 'out' : 'none'
  }
}

async function watch(t: TestContext, options: ServerOptions = {}): Promise<Watched> {
  const time = tellTime(t)
  const pulse = peerpulse({ drain: false })
  t.after(() => pulse.detach())
  const { server, port } = await startServer(t)
  const wss = new WebSocketServer({ server, ...options })
  pulse.attach(server, wss)
  const peer = await upgradeRaw(t, port)
  peer.tcp.setNoDelay()
  await until(() => wss.clients.size === 1, 'the WebSocket')
  const [webSocket] = wss.clients
  const [connection] = pulse.connections()
  assert.ok(webSocket && connection)
  const watched = new Watched(connection as PeerConnection, webSocket, peer, () => time.tick())
  await watched.traffic(() => {})
  return watched
}

const answered = async (watched: Watched, payload: string) => watched.peer.expect(payload)

test('pings and pongs are no traffic, whoever sends them', async (t) => {
  const watched = await watch(t)
  const none: Record<string, (watched: Watched) => unknown> = {
    'a pong that nobody asked for': (w) => w.sends(clientFrame(pong)),
    'one with a long payload': (w) => w.sends(clientFrame(pong, 'x'.repeat(125))),
    'several in one chunk': (w) =>
      w.sends(Buffer.concat([clientFrame(pong, 'a'), clientFrame(pong), clientFrame(pong, 'ccc')])),
    'a ping, which is answered': async (w) => {
      await w.sends(clientFrame(ping, 'mind the gap'))
      await answered(w, 'mind the gap')
    },
    'a ping of the app': async ({ webSocket, peer }) => {
      webSocket.ping('app')
      await peer.expect('app')
    },
    'a ping of the app, and its pong': async (w) => {
      w.webSocket.ping(Buffer.from('round trip'))
      await answered(w, 'round trip')
      await w.sends(clientFrame(pong, 'round trip'))
    },
    'a pong of the app': async ({ webSocket, peer }) => {
      webSocket.pong('alive')
      await peer.expect('alive')
    },
    'a ping that is refused': ({ webSocket }) =>
      assert.throws(() => webSocket.ping('x'.repeat(126)), RangeError),
  }
  const whole = clientFrame(pong, 'payload')
  for (let cut = 1; cut < whole.length; cut++) {
    none[`a pong that comes in two, after ${cut} bytes`] = (w) =>
      w.sends(whole.subarray(0, cut), whole.subarray(cut))
  }
  none['a pong that comes byte by byte'] = (w) => w.sends(...[...whole].map((byte) => Buffer.from([byte])))
  none['the end of one and the beginning of the next'] = (w) =>
    w.sends(whole.subarray(0, 3), Buffer.concat([whole.subarray(3), whole.subarray(0, 9)]), whole.subarray(9))
  for (const [what, does] of Object.entries(none)) assert.equal(await watched.traffic(does), 'none', what)
})

test('messages are traffic, whatever pings and pongs there are around them', async (t) => {
  const watched = await watch(t)
  const hello = clientFrame(text, 'hello')
  const traffic: Record<string, [(watched: Watched) => unknown, 'in' | 'out']> = {
    'a message': [(w) => w.sends(hello), 'in'],
    'a message behind a pong': [(w) => w.sends(Buffer.concat([clientFrame(pong), hello])), 'in'],
    'a message before a ping': [(w) => w.sends(Buffer.concat([hello, clientFrame(ping, 'x')])), 'in'],
    'a message between': [(w) => w.sends(Buffer.concat([clientFrame(ping), hello, clientFrame(pong)])), 'in'],
    'a message whose second half looks like pongs': [
      async (w) => {
        const frame = longFrame(binary, Buffer.alloc(400, Buffer.from([0x8a, 0])))
        await w.sends(frame.subarray(0, 208))
        // The first half is known by now.
        assert.equal(await w.traffic(() => {}), 'none')
        await w.sends(frame.subarray(208))
      },
      'in',
    ],
    'a message of the app': [({ webSocket }) => webSocket.send('price 12'), 'out'],
    'one while the peer sends a longer pong': [
      async (w) => {
        w.webSocket.send('price 12')
        await w.sends(clientFrame(pong, 'x'.repeat(100)))
      },
      'out',
    ],
    'one after many pongs': [
      async (w) => {
        for (let i = 0; i < 10; i++) await w.sends(clientFrame(pong, 'x'.repeat(100)))
        w.webSocket.send('1')
      },
      'out',
    ],
    'one after a ping of the app': [
      ({ webSocket }) => {
        webSocket.ping('are you there')
        webSocket.send('1')
      },
      'out',
    ],
  }
  for (const [what, [does, direction]] of Object.entries(traffic))
    assert.equal(await watched.traffic(does), direction, what)
})

test('a ping that nobody answers hides nothing', async (t) => {
  const watched = await watch(t, { autoPong: false } as ServerOptions)
  const found = await watched.traffic(async (w) => {
    await w.sends(clientFrame(ping, 'x'.repeat(100)))
    w.webSocket.send('price 12')
  })
  assert.equal(found, 'out')
})

test('pongs that come with the upgrade hide no message', async (t) => {
  const time = tellTime(t)
  const pulse = peerpulse({ drain: false })
  t.after(() => pulse.detach())
  const { server, port } = await startServer(t)
  const wss = new WebSocketServer({ server })
  pulse.attach(server, wss)
  const peer = await connectRaw(t, port)
  peer.tcp.setNoDelay()
  const pongs = Buffer.concat(Array.from({ length: 5 }, () => clientFrame(pong, 'x'.repeat(100))))
  peer.write(Buffer.concat([Buffer.from(upgradeRequest()), pongs]))
  await peer.expect('101 Switching Protocols')
  await until(() => wss.clients.size === 1, 'the WebSocket')
  const [webSocket] = wss.clients
  const [connection] = pulse.connections()
  assert.ok(webSocket && connection)
  const watched = new Watched(connection as PeerConnection, webSocket, peer, () => time.tick())
  await watched.traffic(() => {})
  assert.equal(await watched.traffic((w) => w.sends(clientFrame(text, 'hello'))), 'in')
})
