import type { ServerResponse } from 'node:http'
import type { Refusal } from './refusal.js'

/** What an HTTP connection is about; dropped once its socket is known to speak something else. */
export class HttpExchange {
  /** The TLS handshake is not done; the connection's socket is the TCP socket below. */
  handshaking = false
  requestSeen = false
  response: ServerResponse | undefined
  /** Those of pipelined requests, behind `response`. */
  queuedResponses: ServerResponse[] | undefined
  /** Whether `response` is an event stream; unknown until its headers are sent. */
  eventStream: boolean | undefined
  /** The last request that was answered asked for the end. */
  peerAskedToClose = false
  /** Node's timer ran out during a response. */
  timedOut = false
  /** Its own address was judged by the limits, at accept or with its first request. */
  peerJudged = false
  /** It was one too many at accept; its first request is answered with this. */
  refusal: Refusal | undefined

  /** The upgrade that waits for its answer: since when, and how much had been written before. */
  upgrade: { readonly since: number; readonly writtenBefore: number } | undefined

  /** The newest of the responses that wait or are being written. */
  get newest(): ServerResponse | undefined {
    return this.queuedResponses?.at(-1) ?? this.response
  }

  dropResponses(): void {
    this.response = undefined
    this.queuedResponses = undefined
  }
}
