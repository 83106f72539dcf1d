import type { IncomingMessage, ServerResponse } from 'node:http'
import type { OnDrain } from '../../types/connection.js'
import { flat } from './peer-text.js'
import type { Refusal } from './refusal.js'

/** What is remembered of a pooled connection's last request as it is, query and all; a longer one is cut. */
const longestTarget = 300

/** As the peer sent it: Express takes the path of a router off `url` while that runs. */
function targetOf(req: IncomingMessage): string {
  const { originalUrl, url } = req as { originalUrl?: unknown; url?: unknown }
  return typeof originalUrl === 'string' ? originalUrl : typeof url === 'string' ? url : ''
}

/** Without query, and without the server's name of an absolute URL. */
function pathOf(target: string): string {
  return flat((target.split(/[?#]/, 1)[0] ?? '').replace(/^[a-z][a-z\d+.-]*:\/\/[^/]*/i, ''))
}

/** The path that a request asks for. */
export function pathOfRequest(req: IncomingMessage): string {
  return pathOf(targetOf(req))
}

/** One that was destroyed is what its connection is busy with, until that is closed. */
function isDone({ closed, writableFinished }: ServerResponse): boolean {
  return closed || writableFinished
}

/** Whether the wish is the peer's: another pulse or a plugin may have made the response the last before we saw it. */
function asksToClose({ headers, httpVersion }: IncomingMessage): boolean {
  const wish = headers.connection?.toLowerCase()
  return wish === undefined ? httpVersion === '1.0' : wish.includes('close')
}

/** What the app chose for a response. The next one on its connection is another matter. */
export const onDrainOf = new WeakMap<ServerResponse, OnDrain>()

/** What an HTTP connection is about; dropped once its socket is known to speak something else. */
export class HttpExchange {
  /** The TLS handshake is not done; the connection's socket is the TCP socket below. */
  handshaking = false
  requestSeen = false
  response: ServerResponse | undefined
  /** Those of pipelined requests, behind `response`. */
  queuedResponses: ServerResponse[] | undefined
  /** Requests that were pipelined behind so much that they have to wait. */
  waiting: { readonly response: ServerResponse; readonly run: () => void }[] | undefined
  /** Whether `response` is an event stream; unknown until its headers are sent. */
  eventStream: boolean | undefined
  /** The newest request says `Connection: close`, or is of HTTP/1.0: we send the first FIN, but the wish is the peer's. */
  closeIsWished = false
  /** That request was answered to its end. */
  peerAskedToClose = false
  /** The response that was made the last one of the connection, and whether by us alone: the peer had not asked for it. */
  last: ServerResponse | undefined
  lastByUs = false
  /** Node's timer ran out during a response. */
  timedOut = false
  /** Its own address was judged by the limits, at accept or with its first request. */
  peerJudged = false
  /** It was one too many at accept; its first request is answered with this. */
  refusal: Refusal | undefined

  /** The newest request was refused, and its connection kept: whoever ends it now, that is why. */
  keptRefusal: Refusal | undefined

  /** The upgrade that waits for its answer: since when, and how much had been written before. */
  upgrade: { readonly since: number; readonly writtenBefore: number } | undefined

  #method: string | undefined
  #target = ''
  #wasCut = false

  /** The newest of the responses that wait or are being written. Since Node 24 one that waits may be closed before its turn. */
  get newest(): ServerResponse | undefined {
    return this.queuedResponses?.findLast(({ closed }) => !closed) ?? this.response
  }

  /** Whether it has taken a response. Of those in the queue only the newest is compared: a peer may pipeline thousands. */
  holds(response: ServerResponse): boolean {
    return response === this.response || response === this.newest
  }

  /** Takes the response of a request that came. That of a pipelined one gets the socket once those before it are done. */
  take(response: ServerResponse): void {
    this.requestSeen = true
    this.timedOut = false
    this.keptRefusal = undefined
    // The parser's word first: asking `req.headers` has Node make the object, and most requests keep their connection.
    this.closeIsWished = !response.shouldKeepAlive && asksToClose(response.req)
    if (response.socket === null && this.response !== undefined) {
      this.queuedResponses ??= []
      this.queuedResponses.push(response)
      return
    }
    this.response = response
    this.queuedResponses = undefined
    this.eventStream = undefined
  }

  /**
   * The response that is being written. One that is done is let go of at once: an app may have hung much on it, and a
   * pooled socket can idle for long.
   */
  current(): ServerResponse | undefined {
    while (this.response !== undefined && isDone(this.response)) {
      const { writableFinished, req } = this.response
      this.noteRequest(req, writableFinished)
      this.response = this.queuedResponses?.shift()
      this.eventStream = undefined
      this.peerAskedToClose = this.response === undefined && writableFinished && this.closeIsWished
    }
    return this.response
  }

  /** What was asked for, in flight or last. The app's own objects are not kept for it. */
  lastRequest(): { method: string | undefined; path: string } {
    const req = this.current()?.req
    return req
      ? { method: req.method, path: pathOfRequest(req) }
      : { method: this.#method, path: pathOf(this.#target) }
  }

  /** Notes the request of a response that is let go of; once one was cut off, the connection is over, and that is the one. */
  noteRequest(req: IncomingMessage | undefined, isDone: boolean): void {
    // The app may make up events, and their requests.
    if (this.#wasCut || !req) return
    const target = targetOf(req)
    this.#method = req.method
    this.#target = target.length > longestTarget ? flat(pathOf(target).slice(0, longestTarget)) : target
    this.#wasCut = !isDone
  }

  dropResponses(): void {
    this.response = undefined
    this.queuedResponses = undefined
    this.waiting = undefined
    this.last = undefined
  }
}
