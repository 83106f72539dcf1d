import { Agent, request } from 'node:http'
import { connect, type Socket } from 'node:net'
import type { Commands } from '../harness/worker-main.js'
import { maskedFrame, opcode } from './frames.js'

interface Options {
  readonly port: number
}

/** One kind of bad client: from `fromS` on another every `everyMs`, until there are `most`. */
export interface Ramp {
  readonly fromS: number
  readonly everyMs: number
  readonly most: number
}

export type Badness = 'slowReader' | 'fastMessages' | 'fastUploads' | 'flood'

const messageBytes = 60_000
const uploadBytes = 2 * 1024 * 1024
/** A client that was sent away comes back after this, whatever it was told. */
const againMs = 250

/** Clients that take a server's memory: they do not read, send faster than it works, or ask too often. */
export default function start({ port }: Options): Commands {
  const message = maskedFrame(opcode.binary, Buffer.alloc(messageBytes, 'x'))
  const upload = Buffer.alloc(uploadBytes, 'x')

  /** A WebSocket on a bare socket; `onOpen` is called after its 101, and once it is gone it comes back. */
  function upgraded(path: string, onOpen: (socket: Socket) => void): void {
    const socket = connect({ port, host: '127.0.0.1' })
    socket.write(
      `GET ${path} HTTP/1.1\r\nHost: bench\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n` +
        'Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n\r\n',
    )
    socket.once('data', (head) => {
      if (head.toString('latin1', 9, 12) === '101') onOpen(socket)
      else socket.destroy()
    })
    socket.on('error', () => {})
    socket.on('close', () => setTimeout(upgraded, againMs, path, onOpen))
  }

  function repeated(method: string, path: string, body?: Buffer): void {
    const agent = new Agent({ keepAlive: true, maxSockets: 1 })
    const once = () => {
      let again = 0
      const req = request({ port, host: '127.0.0.1', method, path, agent }, (res) => {
        if (res.statusCode !== 200) again = againMs
        res.resume()
        res.on('error', () => {})
      })
      if (body !== undefined) req.setHeader('Content-Type', 'application/octet-stream')
      req.on('error', () => {
        again = againMs
      })
      req.on('close', () => setTimeout(once, again))
      req.end(body)
    }
    once()
  }

  const start: Record<Badness, () => void> = {
    // A paused socket sees no end: it is gone for good, and the ramp sends others.
    slowReader: () => upgraded('/feed', (socket) => socket.pause()),
    fastMessages: () =>
      upgraded('/work', (socket) => {
        const send = () => {
          while (!socket.destroyed && socket.write(message));
        }
        socket.resume()
        socket.on('drain', send)
        send()
      }),
    fastUploads: () => repeated('POST', '/upload', upload),
    flood: () => repeated('GET', '/page'),
  }

  return {
    ramp(ramps: Record<Badness, Ramp>) {
      for (const [badness, { fromS, everyMs, most }] of Object.entries(ramps)) {
        setTimeout(() => {
          let left = most
          const timer = setInterval(() => {
            if (left-- <= 0) return clearInterval(timer)
            start[badness as Badness]()
          }, everyMs)
        }, fromS * 1000)
      }
    },
  }
}
