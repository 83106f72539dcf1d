import { Agent, get } from 'node:http'
import { WebSocket } from 'ws'
import type { Commands } from '../harness/worker-main.js'

interface Options {
  readonly port: number
  readonly webSockets: number
  readonly http: number
}

/** How what they asked for turned out. */
export interface Fates {
  /** Answered in time. */
  ok: number
  /** Refused with 503, or a WebSocket closed with "try again later". */
  shed: number
  /** Not answered within 2 s. */
  late: number
  /** The connection was reset, or ended without a word. */
  reset: number
  /** Nobody listens any more. */
  refused: number
  /** Any other answer. */
  other: number
}

const everyMs = 200
const patienceMs = 2_000
const tryAgainLater = 1013

/** Clients as they should be: each asks for a little five times a second, and comes back when it was cut off. */
export default function start({ port, webSockets, http }: Options): Commands {
  const fates: Fates = { ok: 0, shed: 0, late: 0, reset: 0, refused: 0, other: 0 }
  let stopped = false
  const failed = (error: Error & { code?: string }) =>
    error.code === 'ECONNREFUSED' ? fates.refused++ : fates.reset++

  function startHttp(): void {
    const agent = new Agent({ keepAlive: true, maxSockets: 1 })
    let busy = false
    const timer = setInterval(() => {
      if (stopped) return clearInterval(timer)
      if (busy) return
      busy = true
      let tooLate = false
      const req = get({ port, host: '127.0.0.1', agent }, (res) => {
        res.resume()
        res.on('end', () => {
          if (res.statusCode === 200) fates.ok++
          else if (res.statusCode === 503) fates.shed++
          else fates.other++
        })
        res.on('error', failed)
      })
      const patience = setTimeout(() => {
        tooLate = true
        fates.late++
        req.destroy()
      }, patienceMs)
      req.on('error', (error) => {
        if (!tooLate) failed(error)
      })
      req.on('close', () => {
        clearTimeout(patience)
        busy = false
      })
    }, everyMs)
  }

  function startWebSocket(): void {
    let webSocket: WebSocket | undefined
    let askedAt: number | undefined
    const connect = () => {
      const fresh = new WebSocket(`ws://127.0.0.1:${port}/echo`, { handshakeTimeout: patienceMs })
      webSocket = fresh
      let opened = false
      let told = false
      const tell = (fate: keyof Fates) => {
        if (!told) fates[fate]++
        told = true
      }
      fresh.on('open', () => {
        opened = true
      })
      fresh.on('message', () => {
        if (askedAt === undefined) return
        if (performance.now() - askedAt <= patienceMs) fates.ok++
        askedAt = undefined
      })
      fresh.on('unexpected-response', (_req, res) => {
        tell(res.statusCode === 503 ? 'shed' : 'other')
        res.resume()
        fresh.terminate()
      })
      fresh.on('error', (error: Error & { code?: string }) => {
        if (opened) return
        tell(error.code === 'ECONNREFUSED' ? 'refused' : /timed out/.test(error.message) ? 'late' : 'reset')
      })
      fresh.on('close', (code) => {
        if (opened && !stopped) tell(code === tryAgainLater ? 'shed' : 'reset')
        askedAt = undefined
        if (webSocket === fresh) webSocket = undefined
      })
    }
    connect()
    let wasLate = false
    const timer = setInterval(() => {
      if (stopped) return clearInterval(timer)
      if (webSocket === undefined) return connect()
      if (webSocket.readyState !== WebSocket.OPEN) return
      if (askedAt === undefined) {
        wasLate = false
        askedAt = performance.now()
        webSocket.send('how are you?')
      } else if (!wasLate && performance.now() - askedAt > patienceMs) {
        wasLate = true
        fates.late++
      }
    }, everyMs)
  }

  for (let i = 0; i < http; i++) startHttp()
  for (let i = 0; i < webSockets; i++) startWebSocket()
  return {
    fates: () => fates,
    stop() {
      stopped = true
    },
  }
}
