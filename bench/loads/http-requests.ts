import { connect, type Socket } from 'node:net'
import type { Commands } from '../harness/worker-main.js'

interface Options {
  readonly port: number
  /** Keep-alive connections, each with one request at a time. */
  readonly connections: number
  readonly path?: string
}

/** Sends requests over keep-alive connections, and reads no more of the responses than where they end. */
export default async function start({ port, connections, path = '/' }: Options): Promise<Commands> {
  const request = `GET ${path} HTTP/1.1\r\nHost: bench\r\n\r\n`
  const statuses: Record<string, number> = {}
  let left = 0
  let pending = 0
  let done: () => void = () => {}

  function next(peer: Peer): void {
    if (left === 0) {
      if (--pending === 0) done()
      return
    }
    left--
    peer.socket.write(request)
  }

  class Peer {
    socket!: Socket
    #received = ''

    async open(): Promise<void> {
      this.socket = connect({ port, host: '127.0.0.1', noDelay: true })
      await new Promise<void>((resolve, reject) => {
        this.socket.once('connect', resolve)
        this.socket.once('error', reject)
      })
      this.socket.removeAllListeners('error')
      this.socket.on('error', () => {})
      this.#received = ''
      this.socket.setEncoding('latin1')
      this.socket.on('data', (chunk: string) => this.#read(chunk))
    }

    #read(chunk: string): void {
      this.#received += chunk
      const headEnd = this.#received.indexOf('\r\n\r\n')
      if (headEnd === -1) return
      const length = Number(/\r\ncontent-length: *(\d+)/i.exec(this.#received)?.[1] ?? 0)
      if (this.#received.length < headEnd + 4 + length) return
      const status = this.#received.slice(9, 12)
      statuses[status] = (statuses[status] ?? 0) + 1
      const last = /\r\nconnection: *close/i.test(this.#received.slice(0, headEnd))
      this.#received = ''
      if (!last) next(this)
      else this.#again()
    }

    async #again(): Promise<void> {
      this.socket.destroy()
      await this.open()
      next(this)
    }
  }

  const peers = await Promise.all(
    Array.from({ length: connections }, async () => {
      const peer = new Peer()
      await peer.open()
      return peer
    }),
  )

  return {
    /** Sends `count` requests; tells how often each status came. */
    async run(count: number) {
      for (const status of Object.keys(statuses)) delete statuses[status]
      left = count
      pending = peers.length
      const finished = new Promise<void>((resolve) => {
        done = resolve
      })
      for (const peer of peers) next(peer)
      await finished
      return { ...statuses }
    },
  }
}
