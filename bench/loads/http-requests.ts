import { connect, type Socket } from 'node:net'
import { setTimeout as sleep } from 'node:timers/promises'
import type { Commands } from '../harness/worker-main.js'

interface Options {
  readonly port: number
  /** Keep-alive connections, each with one request at a time. */
  readonly connections: number
  readonly path?: string
  /** What every response must have. */
  readonly status?: number
}

const turnMs = 5

/** Sends requests over keep-alive connections, and reads no more of the responses than where they end. */
export default async function start({
  port,
  connections,
  path = '/',
  status = 200,
}: Options): Promise<Commands> {
  const request = `GET ${path} HTTP/1.1\r\nHost: bench\r\n\r\n`
  const expected = `HTTP/1.1 ${status} `
  let answered = 0
  /** Called with a peer whose response has come. */
  let onFree: (peer: Peer) => void = () => {}
  let fail: (error: Error) => void = () => {}

  class Peer {
    #socket!: Socket
    #received = ''

    async open(): Promise<void> {
      this.#socket = connect({ port, host: '127.0.0.1', noDelay: true })
      await new Promise<void>((resolve, reject) => {
        this.#socket.once('connect', resolve)
        this.#socket.once('error', reject)
      })
      this.#socket.removeAllListeners('error')
      this.#socket.on('error', () => {})
      this.#received = ''
      this.#socket.setEncoding('latin1')
      this.#socket.on('data', (chunk: string) => this.#read(chunk))
    }

    ask(): void {
      this.#socket.write(request)
    }

    #read(chunk: string): void {
      this.#received += chunk
      const headEnd = this.#received.indexOf('\r\n\r\n')
      if (headEnd === -1) return
      const length = Number(/\r\ncontent-length: *(\d+)/i.exec(this.#received)?.[1] ?? 0)
      if (this.#received.length < headEnd + 4 + length) return
      if (!this.#received.startsWith(expected)) fail(new Error(`not ${status}: ${this.#received}`))
      const isLast = /\r\nconnection: *close/i.test(this.#received.slice(0, headEnd))
      this.#received = ''
      answered++
      if (isLast) this.#again()
      else onFree(this)
    }

    async #again(): Promise<void> {
      this.#socket.destroy()
      await this.open()
      onFree(this)
    }
  }

  const peers: Peer[] = []
  for (let i = 0; i < connections; i++) {
    const peer = new Peer()
    await peer.open()
    peers.push(peer)
  }

  /** Resolves once `count` responses have come. */
  function answers(count: number, whenFree: (peer: Peer) => void): Promise<void> {
    answered = 0
    return new Promise((resolve, reject) => {
      fail = reject
      onFree = (peer) => {
        whenFree(peer)
        if (answered === count) resolve()
      }
    })
  }

  return {
    /** Sends `count` requests, each as soon as a connection is free. */
    async run(count: number) {
      let left = count
      const next = (peer: Peer) => {
        if (left-- > 0) peer.ask()
      }
      const done = answers(count, next)
      for (const peer of peers) next(peer)
      await done
    },
    /** Sends so many requests a second, for as long as `count` of them take; each on the connection that was free longest. */
    async pace(count: number, perSecond: number) {
      const free = [...peers]
      const done = answers(count, (peer) => free.push(peer))
      const began = performance.now()
      for (let sent = 0; sent < count; await sleep(turnMs)) {
        const due = Math.min(count, ((performance.now() - began) / 1000) * perSecond)
        for (; sent < due && free.length > 0; sent++) free.shift()?.ask()
      }
      await done
    },
  }
}
