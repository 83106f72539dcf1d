import { Agent, request } from 'node:http'
import { setTimeout as sleep } from 'node:timers/promises'
import { WebSocket } from 'ws'
import { slowMs } from './timing.js'

/** What clients saw. */
export interface Seen {
  requests: number
  /** By what went wrong: a status, or an error's code. */
  failed: Record<string, number>
  webSockets: number
  /** By code. 1006: none came, the connection was just gone. */
  closes: Record<string, number>
  refusedUpgrades: number
  lostEchoes: number
}

/** Clients that go on until they are told to stop: pooled keep-alive requests of all kinds, and WebSockets that come back. */
export class Load {
  readonly seen: Seen = {
    requests: 0,
    failed: {},
    webSockets: 0,
    closes: {},
    refusedUpgrades: 0,
    lostEchoes: 0,
  }
  readonly #port: number
  readonly #agent = new Agent({ keepAlive: true, maxSockets: 32 })
  readonly #running: Promise<void>[] = []
  /** Every WebSocket, with the echoes that it waits for. */
  readonly #sockets = new Map<WebSocket, number>()
  #stopped = false

  constructor(port: number) {
    this.#port = port
  }

  /** How many WebSockets are open now. */
  get open(): number {
    return [...this.#sockets.keys()].filter(({ readyState }) => readyState === WebSocket.OPEN).length
  }

  /** How many wait for an echo: one whose instance went without a word waits for ever. */
  get waiting(): number {
    return [...this.#sockets.values()].filter((echoes) => echoes > 0).length
  }

  start(httpClients: number, webSockets: number): void {
    for (let i = 0; i < httpClients; i++) this.#running.push(this.#browse(i))
    for (let i = 0; i < webSockets; i++) this.#running.push(this.#stay())
  }

  async stop(): Promise<void> {
    this.#stopped = true
    for (const socket of this.#sockets.keys()) socket.close(1000)
    await Promise.all(this.#running)
    this.#agent.destroy()
  }

  /** The instance that answers a request now, by its process id. */
  async whoAnswers(): Promise<string> {
    const { instance } = await this.#ask('GET', '/')
    return instance
  }

  async #browse(i: number): Promise<void> {
    const kinds = [
      ['GET', '/'],
      ['POST', '/'],
      ['GET', '/chunked'],
      ['POST', '/'],
      ['GET', '/slow'],
      ['GET', '/'],
    ] as const
    for (let turn = i; !this.#stopped; turn++) {
      const [method, path] = kinds[turn % kinds.length] as (typeof kinds)[number]
      const { problem } = await this.#ask(method, path)
      this.seen.requests++
      if (problem !== undefined) count(this.seen.failed, `${method} ${problem}`)
      await sleep(10 + Math.random() * 40)
    }
  }

  #ask(method: string, path: string): Promise<{ problem?: string; instance: string }> {
    return new Promise((resolve) => {
      const body = method === 'POST' ? 'x'.repeat(1_000) : ''
      const req = request(
        {
          port: this.#port,
          host: '127.0.0.1',
          method,
          path,
          agent: this.#agent,
          headers: { 'Content-Length': body.length },
        },
        (res) => {
          const instance = String(res.headers['x-instance'] ?? '')
          const problem = (text: string) => resolve({ problem: text, instance })
          res.resume()
          res.on('error', (error: NodeJS.ErrnoException) => problem(`cut off: ${error.code}`))
          res.on('end', () => {
            if (res.statusCode !== 200) problem(`${res.statusCode}`)
            else if (!res.complete) problem('cut off')
            else resolve({ instance })
          })
        },
      )
      req.setTimeout(slowMs * 20, () => req.destroy(Object.assign(new Error('late'), { code: 'late' })))
      req.on('error', (error: NodeJS.ErrnoException) =>
        resolve({ problem: error.code ?? error.message, instance: '' }),
      )
      req.end(body)
    })
  }

  /** One client: connects, sends something now and then, and comes back when it is told to. */
  async #stay(): Promise<void> {
    while (!this.#stopped) {
      const waitMs = await this.#visit()
      if (!this.#stopped) await sleep(waitMs)
    }
  }

  #visit(): Promise<number> {
    return new Promise((resolve) => {
      const webSocket = new WebSocket(`ws://127.0.0.1:${this.#port}/`)
      const wait = (echoes: number) =>
        this.#sockets.set(webSocket, (this.#sockets.get(webSocket) ?? 0) + echoes)
      wait(0)
      let wasOpen = false
      const timer = setInterval(() => {
        if (webSocket.readyState !== WebSocket.OPEN) return
        wait(1)
        webSocket.send('echo')
      }, 2_000)
      webSocket.on('open', () => {
        wasOpen = true
        this.seen.webSockets++
        if (this.#stopped) webSocket.close(1000)
      })
      webSocket.on('message', () => wait(-1))
      webSocket.on('unexpected-response', (req) => {
        this.seen.refusedUpgrades++
        req.destroy()
        done(200 + Math.random() * 300)
      })
      webSocket.on('error', () => {})
      webSocket.on('close', (code, reason) => {
        if (wasOpen && !this.#stopped) {
          count(this.seen.closes, String(code))
          // What was sent after the server's close frame was on its way gets no answer, and is no loss.
          if (code === 1006) this.seen.lostEchoes += this.#sockets.get(webSocket) ?? 0
        }
        done(windowOf(reason.toString()))
      })
      const done = (waitMs: number) => {
        clearInterval(timer)
        this.#sockets.delete(webSocket)
        resolve(waitMs)
      }
    })
  }
}

/** A moment in the window that a close reason names, as `drain; reconnect=0..1000`; else soon. */
function windowOf(reason: string): number {
  const [, least, most] = /reconnect=(\d+)\.\.(\d+)/.exec(reason) ?? [undefined, '0', '500']
  return Number(least) + Math.random() * (Number(most) - Number(least))
}

function count(counts: Record<string, number>, what: string): void {
  counts[what] = (counts[what] ?? 0) + 1
}
