import assert from 'node:assert/strict'
import type { IncomingMessage } from 'node:http'
import { Writable } from 'node:stream'
import { type TestContext, test } from 'node:test'
import { type WebSocket, WebSocketServer } from 'ws'
import type { PeerConnection } from '../../lib/core/connection.js'
import { peerpulse } from '../../lib/index.js'
import { socketOf } from '../guards/support.js'
import { clientFrame, opcodes, request } from '../support/frames.js'
import { connectRaw, type RawPeer, requestRaw, upgradeRaw } from '../support/raw-peer.js'
import { startServer } from '../support/servers.js'
import { turn, until } from '../support/wait.js'

/** Something that peers send to, and what the app can do about it. */
interface Inflow {
  readonly connection: PeerConnection
  /** Bytes or messages that came to the app. */
  received(): number
  /** Has the peer send a little more. */
  more(): void
  pause(): void
  resume(): void
  /** Whatever is not held up has come by then. */
  settle(): Promise<void>
}

type Open = (t: TestContext, secure: boolean) => Promise<Inflow>

async function world(t: TestContext, secure: boolean, onBody: (req: IncomingMessage) => void) {
  const pulse = peerpulse({ drain: false, heartbeat: false })
  t.after(() => pulse.detach())
  const { server, port } = await startServer(
    t,
    (req, res) => {
      if (req.method === 'POST') onBody(req)
      else res.end('hello')
    },
    { secure },
  )
  const wss = new WebSocketServer({ server })
  pulse.attach(server, wss)
  const other = await connectRaw(t, port, secure)
  return {
    pulse,
    port,
    wss,
    connectionOf: (peer: RawPeer) =>
      [...pulse.connections()].find(({ remotePort }) => remotePort === peer.port) as PeerConnection,
    async settle() {
      for (let i = 0; i < 3; i++) {
        await requestRaw(other)
        await turn()
      }
    },
  }
}

function webSocket(pauses: (webSocket: WebSocket) => { pause(): unknown; resume(): unknown }): Open {
  return async (t, secure) => {
    const { port, wss, settle, connectionOf } = await world(t, secure, () => {})
    let received = 0
    wss.on('connection', (ws) => ws.on('message', () => received++))
    const peer = await upgradeRaw(t, port, { secure })
    peer.tcp.setNoDelay()
    await until(() => wss.clients.size === 1, 'the WebSocket')
    const [ws] = wss.clients
    assert.ok(ws)
    return {
      connection: connectionOf(peer),
      received: () => received,
      more: () => peer.write(clientFrame(opcodes.text, 'hello')),
      pause: () => pauses(ws).pause(),
      resume: () => pauses(ws).resume(),
      settle,
    }
  }
}

/** A body, and how the app takes it. */
function body(
  take: (req: IncomingMessage, count: (bytes: number) => void) => { pause(): void; resume(): void },
): Open {
  return async (t, secure) => {
    let received = 0
    let taking: { pause(): void; resume(): void } | undefined
    const { port, settle, connectionOf } = await world(t, secure, (req) => {
      taking = take(req, (bytes) => {
        received += bytes
      })
    })
    const peer = await connectRaw(t, port, secure)
    peer.tcp.setNoDelay()
    peer.write(request('/', { 'Content-Length': '1000000' }, 'POST'))
    await until(() => taking, 'the request')
    return {
      connection: connectionOf(peer),
      received: () => received,
      more: () => peer.write('hello'),
      pause: () => taking?.pause(),
      resume: () => taking?.resume(),
      settle,
    }
  }
}

/** A consumer that is slow when told to. */
class Valve extends Writable {
  #open = true
  #waiting: (() => void) | undefined
  constructor(count: (bytes: number) => void) {
    super({ highWaterMark: 1 })
    this._write = (chunk: Buffer, _, done) => {
      const write = () => {
        count(chunk.length)
        done()
      }
      if (this.#open) write()
      else this.#waiting = write
    }
  }
  pause(): void {
    this.#open = false
  }
  resume(): void {
    this.#open = true
    const waiting = this.#waiting
    this.#waiting = undefined
    waiting?.()
  }
}

const inflows: Record<string, Open> = {
  'a WebSocket': webSocket((ws) => ws),
  'the socket of a WebSocket': webSocket(socketOf),
  'a body': body((req, count) => {
    req.on('data', (chunk: Buffer) => count(chunk.length))
    return { pause: () => void req.pause(), resume: () => void req.resume() }
  }),
  'a body that is piped': body((req, count) => req.pipe(new Valve(count))),
  'a body that is iterated': body((req, count) => {
    let gate = Promise.resolve()
    let open = () => {}
    void (async () => {
      for await (const chunk of req) {
        await gate
        count((chunk as Buffer).length)
      }
    })().catch(() => {})
    return {
      pause() {
        gate = new Promise((resolve) => {
          open = resolve
        })
      },
      resume: () => open(),
    }
  }),
}

for (const secure of [false, true]) {
  for (const [what, open] of Object.entries(inflows)) {
    const name = `${secure ? 'secure: ' : ''}${what}`

    test(`${name} is not read while we pause it, and comes whole`, async (t) => {
      const inflow = await open(t, secure)
      inflow.more()
      await until(() => inflow.received() > 0, 'the first of it')
      const before = inflow.received()
      assert.equal(inflow.connection.pauseReading(), true)
      assert.equal(inflow.connection.pauseReading(), false, 'twice')
      inflow.more()
      await inflow.settle()
      assert.equal(inflow.received(), before)
      inflow.connection.resumeReading()
      await until(() => inflow.received() === 2 * before, 'the rest')
    })

    test(`${name}: a pause of the app's within ours stays`, async (t) => {
      const inflow = await open(t, secure)
      inflow.more()
      await until(() => inflow.received() > 0, 'the first of it')
      const before = inflow.received()
      assert.equal(inflow.connection.pauseReading(), true)
      inflow.pause()
      inflow.more()
      inflow.connection.resumeReading()
      await inflow.settle()
      assert.equal(inflow.received(), before)
      inflow.resume()
      await until(() => inflow.received() === 2 * before, 'the rest')
    })

    test(`${name}: what the app resumes within our pause goes on when that is over`, async (t) => {
      const inflow = await open(t, secure)
      inflow.more()
      await until(() => inflow.received() > 0, 'the first of it')
      const before = inflow.received()
      assert.equal(inflow.connection.pauseReading(), true)
      inflow.pause()
      inflow.more()
      inflow.resume()
      await inflow.settle()
      assert.equal(inflow.received(), before)
      inflow.connection.resumeReading()
      await until(() => inflow.received() === 2 * before, 'the rest')
    })

    test(`${name} that the app has paused goes on when the app resumes it`, async (t) => {
      const inflow = await open(t, secure)
      inflow.more()
      await until(() => inflow.received() > 0, 'the first of it')
      const before = inflow.received()
      inflow.pause()
      inflow.connection.pauseReading()
      inflow.more()
      inflow.connection.resumeReading()
      await inflow.settle()
      assert.equal(inflow.received(), before)
      inflow.resume()
      await until(() => inflow.received() === 2 * before, 'the rest')
    })
  }
}
