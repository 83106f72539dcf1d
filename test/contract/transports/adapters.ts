/** Every transport there is. A new one is one more adapter in the table at the end. */
import assert from 'node:assert/strict'
import type { IncomingMessage, ServerResponse } from 'node:http'
import type { Duplex } from 'node:stream'
import { closeReasons } from 'peerpulse'
import { type WebSocket, WebSocketServer } from 'ws'
import { clientFrame, opcodes, request, upgradeRequest } from '../../support/frames.js'
import { requestRaw } from '../../support/raw-peer.js'
import { until } from '../../support/wait.js'
import type { Meet, Side, TransportAdapter } from './adapter.js'

/** Counts what the app reads of a stream. */
function countData(stream: { on(event: 'data', listener: (chunk: Buffer) => void): unknown }): () => number {
  let bytes = 0
  stream.on('data', ({ length }) => {
    bytes += length
  })
  return () => bytes
}

const bySocket = ({ req }: { req: IncomingMessage }) => req.socket.remotePort
const chunked = (text: string) => `${text.length.toString(16)}\r\n${text}\r\n`
const lastChunk = '0\r\n\r\n'

const requestInFlight: TransportAdapter = {
  name: 'an HTTP request in flight',
  protocol: 'http1',
  phase: 'request',
  serve(server, meet) {
    server.on('request', (req: IncomingMessage, res: ServerResponse) => {
      res.writeHead(200).write('begun')
      meet(bySocket(res), {
        carriers: [req, res, req.socket],
        socket: req.socket,
        write: (text) => void res.write(text),
        heard: countData(req),
        finish: () => void res.end('done'),
      })
    })
    return undefined
  },
  async open(peer) {
    peer.write(request('/', { 'Transfer-Encoding': 'chunked' }, 'POST'))
    await peer.expect('begun\r\n')
  },
  speak: (peer) => peer.write(chunked('hello')),
  pushes: true,
  finishesFirst: true,
  async farewell(peer, side) {
    peer.write(lastChunk)
    side.finish?.()
    await peer.expect(`done\r\n${lastChunk}`)
  },
  afterFin: 'peer-ended',
  afterReset: 'peer-reset',
}

const pooled: TransportAdapter = {
  name: 'a pooled HTTP connection between requests',
  protocol: 'http1',
  phase: 'keep-alive',
  serve(server, meet) {
    const requests = new Map<number | undefined, number>()
    server.on('request', (req: IncomingMessage, res: ServerResponse) => {
      const port = bySocket(res)
      const count = (requests.get(port) ?? 0) + 1
      requests.set(port, count)
      // The last response has let go of its socket by the time that anybody looks.
      if (count === 1)
        meet(port, {
          carriers: [req, req.socket],
          socket: req.socket,
          write: (text) => void req.socket.write(text),
          heard: () => requests.get(port) ?? 0,
        })
      res.end('ok')
    })
    return undefined
  },
  open: async (peer) => void (await requestRaw(peer)),
  speak: (peer) => peer.write(request()),
  pushes: false,
  finishesFirst: false,
  async farewell() {},
  afterFin: 'peer-closed',
  afterReset: 'peer-reset',
}

const eventStream: TransportAdapter = {
  name: 'an event stream',
  protocol: 'sse',
  phase: 'established',
  serve(server, meet) {
    server.on('request', (req: IncomingMessage, res: ServerResponse) => {
      res.writeHead(200, { 'Content-Type': 'text/event-stream' }).write('data: begun\n\n')
      meet(bySocket(res), {
        carriers: [req, res, req.socket],
        socket: req.socket,
        write: (text) => void res.write(text),
        heard: () => 0,
      })
    })
    return undefined
  },
  async open(peer) {
    peer.write(request())
    await peer.expect('data: begun\n\n\r\n')
  },
  speak: false,
  pushes: true,
  finishesFirst: false,
  async farewell(peer) {
    await peer.expect('\nretry: ')
    await peer.expect(lastChunk)
  },
  afterFin: 'peer-ended',
  afterReset: 'peer-reset',
}

/** A WebSocket of `ws`, given to its app by `handleUpgrade`. */
function serveWebSocket(meet: Meet, wss: WebSocketServer) {
  return (req: IncomingMessage, socket: Duplex, head: Buffer) =>
    wss.handleUpgrade(req, socket, head, (webSocket: WebSocket) => {
      let heard = 0
      webSocket.on('message', () => heard++)
      meet(req.socket.remotePort, {
        carriers: [webSocket, req.socket],
        socket,
        write: (text) => webSocket.send(text),
        heard: () => heard,
      })
    })
}

const webSocket = {
  protocol: 'websocket',
  phase: 'established',
  async open(peer) {
    peer.write(upgradeRequest())
    await peer.expect('\r\n\r\n')
  },
  speak: (peer) => peer.write(clientFrame(opcodes.text, 'hello')),
  pushes: true,
  finishesFirst: false,
  async farewell(peer, _side, reason) {
    const code = closeReasons[reason].webSocketCode ?? 1000
    await until(() => peer.text.includes(reason) || peer.closed, 'the close frame')
    const at = peer.received.indexOf(reason)
    assert.ok(at !== -1, 'closed without a close frame')
    assert.deepEqual([peer.received[at - 4], peer.received.readUInt16BE(at - 2)], [0x88, code])
    peer.write(clientFrame(opcodes.close, peer.received.subarray(at - 2, at)))
  },
  afterFin: 'peer-ended',
  afterReset: 'peer-reset',
} satisfies Partial<TransportAdapter>

const attachedWebSocket: TransportAdapter = {
  ...webSocket,
  name: 'a WebSocket of a server that is attached',
  serve(server, meet) {
    const wss = new WebSocketServer({ noServer: true })
    server.on('upgrade', serveWebSocket(meet, wss))
    return wss
  },
}

const foundWebSocket: TransportAdapter = {
  ...webSocket,
  name: 'a WebSocket that is found without its server',
  serve(server, meet) {
    server.on('upgrade', serveWebSocket(meet, new WebSocketServer({ noServer: true })))
    return undefined
  },
}

const switching = 'HTTP/1.1 101 Switching Protocols\r\nUpgrade: other\r\nConnection: Upgrade\r\n\r\n'

/** A library of its own speaks on the socket. */
function takeSocket(meet: Meet, answer: string) {
  return (req: IncomingMessage, socket: Duplex) => {
    socket.write(answer)
    socket.on('end', () => socket.end())
    // Every library listens for errors of the socket it was given.
    socket.on('error', () => {})
    const side: Side = {
      carriers: [req.socket],
      socket,
      write: (text) => void socket.write(text),
      heard: countData(socket),
    }
    meet(req.socket.remotePort, side)
  }
}

const bareSocket = {
  protocol: 'upgraded',
  phase: 'established',
  speak: (peer) => peer.write('hello'),
  pushes: true,
  finishesFirst: false,
  async farewell() {},
  // An unknown protocol may be at its end.
  afterFin: 'peer-closed',
  afterReset: 'peer-reset',
} satisfies Partial<TransportAdapter>

const upgradedSocket: TransportAdapter = {
  ...bareSocket,
  name: 'an upgraded socket of an unknown protocol',
  serve(server, meet) {
    server.on('upgrade', takeSocket(meet, switching))
    return undefined
  },
  async open(peer) {
    peer.write(upgradeRequest('/', { Upgrade: 'other' }))
    await peer.expect('\r\n\r\n')
  },
}

const tunnel: TransportAdapter = {
  ...bareSocket,
  name: 'a tunnel after CONNECT',
  serve(server, meet) {
    server.on('connect', takeSocket(meet, 'HTTP/1.1 200 Connected\r\n\r\n'))
    return undefined
  },
  async open(peer) {
    peer.write(request('localhost:1', {}, 'CONNECT'))
    await peer.expect('\r\n\r\n')
  },
}

export const adapters: readonly TransportAdapter[] = [
  requestInFlight,
  pooled,
  eventStream,
  attachedWebSocket,
  foundWebSocket,
  upgradedSocket,
  tunnel,
]
