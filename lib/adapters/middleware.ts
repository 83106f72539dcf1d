import { type IncomingMessage, ServerResponse } from 'node:http'
import type { Middleware } from '../../types/peerpulse.js'

/** What the middleware asks of the pulse. */
export interface MiddlewareHost {
  /** Whether the request came through an attached server, and was therefore asked about before the app saw it. */
  wasSeen(req: IncomingMessage): boolean
  /** Answers probes and refuses work, for a server that is not attached. `true`: it was answered. */
  answer(req: IncomingMessage, res: ServerResponse): boolean
  /** A chance to learn from Express which proxies are trusted. */
  learnTrust(req: IncomingMessage): void
}

/** Express 4 and 5, Connect, or any chain with a `next`. */
export function createMiddleware(host: MiddlewareHost): Middleware {
  return function peerpulse(req, res, next) {
    host.learnTrust(req)
    if (host.wasSeen(req) || !host.answer(req, res)) next()
  }
}

let isTold = false

/**
 * For `app.use(pulse.middleware)`: the method itself is called with each request. Whoever can take an error gets it, so
 * that nobody overlooks it, no request hangs, and no peer's request ends the process.
 */
export function passOnMistake(error: Error, [, res, next]: readonly unknown[]): void {
  if (typeof next === 'function') next(error)
  else if (res instanceof ServerResponse) {
    if (!isTold) process.emitWarning(error)
    isTold = true
    res.writeHead(500).end(error.message)
  } else throw error
}
