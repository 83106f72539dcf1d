import type { IncomingMessage } from 'node:http'

/** A refusal: what is answered instead of the app. */
export interface Refusal {
  readonly status: 503 | 429
  readonly reason: 'shed' | 'limit' | 'drain'
  /** One sentence for the operator: which limit, monitor or level. */
  readonly detail: string
  readonly retryAfterS: number
}

/**
 * Whether a connection outlives the refusal of a request. Under pressure it does: a client that comes back on a new
 * connection costs more than one that is served (`npm run bench -- shed`), let alone by TLS. But a body that nobody
 * wants would have to be read to its end.
 */
export function keepsConnection({ reason }: Refusal, req: IncomingMessage): boolean {
  return reason === 'shed' && (req.method === 'GET' || req.method === 'HEAD') && !hasBody(req)
}

function hasBody({ headers }: IncomingMessage): boolean {
  return headers['transfer-encoding'] !== undefined || Number(headers['content-length'] ?? 0) > 0
}
