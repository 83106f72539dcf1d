import type { IncomingMessage } from 'node:http'

/** How long a body may pause, last and be, all told: what nginx allows by default, and a size of our own. */
const silenceMs = 5_000
const longestMs = 30_000
const mostBytes = 64 * 1024 * 1024
/** How often it is looked at. */
const lookMs = 500

/** Reads a request's body to its end after the answer, within limits, so that the answer is not lost to a reset. */
export class Lingering {
  readonly #request: IncomingMessage
  readonly #since: number
  readonly #bytesBefore: number
  #bytes: number
  #movedAt: number

  constructor(now: number, request: IncomingMessage, bytes: number) {
    this.#request = request
    this.#since = now
    this.#bytesBefore = bytes
    this.#bytes = bytes
    this.#movedAt = now
    // A parser of the app's that gave up leaves the body paused, with nobody to read it.
    if (request.listenerCount('data') === 0 && request.listenerCount('readable') === 0) request.resume()
    else if (request.isPaused()) dropBody(request)
  }

  /** When to look again, in credited time; `undefined`: the peer has had its time to read the answer. */
  look(now: number, bytes: number, closeTimeoutMs: number): number | undefined {
    if (bytes > this.#bytes) {
      this.#bytes = bytes
      this.#movedAt = now
    }
    // Once all of it is here, only the peer's FIN is missing.
    const patienceMs = this.#request.complete ? closeTimeoutMs : silenceMs
    const isOver =
      now - this.#movedAt >= patienceMs ||
      now - this.#since >= longestMs ||
      bytes - this.#bytesBefore > mostBytes
    return isOver ? undefined : now + lookMs
  }
}

/** The app paused it and has answered: it gets no more of it, and Node drops what comes, as it does with a body nobody reads. */
function dropBody(request: IncomingMessage): void {
  ;(request as { _dumped?: boolean })._dumped = true
  request.socket.resume()
}
