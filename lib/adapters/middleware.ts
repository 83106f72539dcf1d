import type { IncomingMessage, ServerResponse } from 'node:http'
import type { Middleware } from '../../types/peerpulse.js'
import { expressTrust, type Trust } from './trust-proxy.js'

/** What the middleware asks of the pulse. */
export interface MiddlewareHost {
  /** Whether the request came through an attached server, and was therefore asked about before the app saw it. */
  wasSeen(req: IncomingMessage): boolean
  /** Answers probes and refuses work, for a server that is not attached. `true`: it was answered. */
  answer(req: IncomingMessage, res: ServerResponse): boolean
  /** Whether proxies are still to be learned from Express. */
  wantsTrust(): boolean
  learnTrust(trust: Trust, req: IncomingMessage): void
}

/** Express 4 and 5, Connect, or any chain with a `next`. */
export function createMiddleware(host: MiddlewareHost): Middleware {
  return function peerpulse(req, res, next) {
    if (host.wantsTrust()) {
      const trust = expressTrust(req)
      if (trust !== undefined) host.learnTrust(trust, req)
    }
    if (host.wasSeen(req) || !host.answer(req, res)) next()
  }
}
