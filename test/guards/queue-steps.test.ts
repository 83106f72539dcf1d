import assert from 'node:assert/strict'
import type { ServerResponse } from 'node:http'
import { test } from 'node:test'
import { WebSocketServer } from 'ws'
import type { PeerConnection } from '../../lib/core/connection.js'
import { peerpulse } from '../../lib/index.js'
import { request } from '../support/frames.js'
import { connectRaw, type RawPeer, upgradeRaw } from '../support/raw-peer.js'
import { startServer } from '../support/servers.js'
import { pause, turn, until } from '../support/wait.js'
import { Closes } from '../support/watched.js'
import { tellTime } from './told-time.js'

const filler = Buffer.alloc(64 * 1024)
const small = Buffer.alloc(20)
const short = 200
const long = 5_000

interface Stalled {
  readonly peer: RawPeer
  readonly connection: PeerConnection
  /** The app's way, which passes the guards. */
  send(chunk: Buffer): void
}

/** An array of which every read and write of an element or of its length is a step. */
function countSteps<T extends object>(array: T, step: () => void): T {
  return new Proxy(array, {
    get(target, key) {
      step()
      return Reflect.get(target, key)
    },
    set(target, key, value) {
      step()
      return Reflect.set(target, key, value)
    },
  })
}

/** What we do in a tick, a snapshot, a reading of everything public, a write of the app's, and at the end. */
async function stepsOf(stalled: Stalled, pulse: ReturnType<typeof peerpulse>, tick: () => void) {
  const { connection, peer } = stalled
  let steps = 0
  const { _writableState: state } = connection.socket as unknown as { _writableState: { buffered: object[] } }
  const before = state.buffered
  state.buffered = countSteps(before, () => steps++)
  // Node's own count of what was written walks over the queue.
  const { bytesWritten } = connection.socket
  Object.defineProperty(connection.socket, 'bytesWritten', {
    configurable: true,
    get() {
      steps += before.length
      return bytesWritten
    },
  })
  const counted = (run: () => void) => {
    const from = steps
    run()
    return steps - from
  }
  const closes = new Closes(pulse)
  const found = {
    queue: before.length,
    tick: counted(tick),
    snapshot: counted(() => pulse.snapshot()),
    read: counted(() => JSON.stringify(connection)),
    write: counted(() => stalled.send(small)),
    closed: 0,
  }
  pulse.once('connection:close', (closing) => {
    found.closed = counted(() => JSON.stringify(closing))
  })
  const walk = counted(() => (connection.socket as { writableBuffer?: unknown }).writableBuffer)
  assert.ok(walk >= before.length, 'the queue is what is counted')
  state.buffered = before
  peer.reset()
  await closes.wait(peer.port)
  return found
}

for (const secure of [false, true]) {
  for (const kind of ['websocket', 'upgraded', 'http1'] as const) {
    test(`a look at ${secure ? 'a secure' : 'an'} ${kind} costs the same, however much waits for its peer`, async (t) => {
      const time = tellTime(t)
      const pulse = peerpulse({ drain: false, budget: { highWaterBytes: 8 * 1024 * 1024 } })
      t.after(() => pulse.detach())
      const sends: ((chunk: Buffer) => void)[] = []
      const { server, port } = await startServer(
        t,
        (_, res: ServerResponse) => sends.push((chunk) => void res.write(chunk)),
        { secure },
      )
      if (kind === 'websocket')
        new WebSocketServer({ server }).on('connection', (ws) => sends.push((chunk) => ws.send(chunk)))
      else
        server.on('upgrade', (_, socket) => {
          socket.write('HTTP/1.1 101 Switching Protocols\r\nUpgrade: x\r\nConnection: Upgrade\r\n\r\n')
          sends.push((chunk) => void socket.write(chunk))
        })
      pulse.attach(server)

      async function stall(chunks: number): Promise<Stalled> {
        const at = sends.length
        const peer =
          kind === 'http1' ? await connectRaw(t, port, secure) : await upgradeRaw(t, port, { secure })
        if (kind === 'http1') peer.write(request())
        await until(() => sends.length > at, 'the server’s side')
        const connection = [...pulse.connections()].find(({ remotePort }) => remotePort === peer.port)
        assert.ok(connection)
        peer.pause()
        const send = sends[at] as (chunk: Buffer) => void
        // What the kernels take at most, and no more: the limits are not what is tried.
        for (let calm = 0; calm < 20; calm++) {
          if (connection.bufferedBytes === 0) {
            calm = 0
            send(filler)
          }
          await pause(2)
        }
        for (let i = 0; i < chunks; i++) send(small)
        // A response may keep back what it was given in one turn.
        await turn()
        assert.equal(connection.protocol, kind)
        return { peer, connection: connection as PeerConnection, send }
      }

      const { queue: shortQueue, ...few } = await stepsOf(await stall(short), pulse, () => time.tick())
      const { queue: longQueue, ...many } = await stepsOf(await stall(long), pulse, () => time.tick())
      assert.ok(longQueue - shortQueue >= long - short, `${shortQueue} and ${longQueue} chunks`)
      assert.deepEqual(many, few)
      assert.deepEqual({ ...few, write: 0 }, { tick: 0, snapshot: 0, read: 0, write: 0, closed: 0 })
    })
  }
}
