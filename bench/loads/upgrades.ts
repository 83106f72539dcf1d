import { connect } from 'node:net'
import type { Commands } from '../harness/worker-main.js'

interface Options {
  readonly port: number
  /** Connections at a time. */
  readonly concurrency: number
  /** What every answer must be. */
  readonly status: number
}

const request =
  'GET / HTTP/1.1\r\nHost: bench\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n' +
  'Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n\r\n'

/** Asks for an upgrade on a connection of its own, and is gone with the answer. */
export default function start({ port, concurrency, status }: Options): Commands {
  const expected = `HTTP/1.1 ${status} `

  function ask(): Promise<void> {
    const socket = connect({ port, host: '127.0.0.1', noDelay: true })
    socket.write(request)
    return new Promise((resolve, reject) => {
      socket.on('error', reject)
      socket.on('close', () => resolve())
      socket.once('data', (chunk) => {
        const answer = chunk.toString('latin1')
        if (!answer.startsWith(expected)) reject(new Error(`not ${status}: ${answer}`))
        socket.destroy()
      })
    })
  }

  return {
    async run(count: number) {
      let left = count
      const askSome = async () => {
        while (left-- > 0) await ask()
      }
      await Promise.all(Array.from({ length: concurrency }, askSome))
    },
  }
}
