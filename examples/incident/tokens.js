const updatesPerSecond = 10
const updateBytes = 2 * 1024
const conversationBytes = 768 * 1024
const historyBytes = 8 * 1024 * 1024
const pageBytes = 128 * 1024

/** @type {Set<TokenStream>} */
const streams = new Set()

/** The token updates of one client, and the conversation they belong to, which the server keeps in memory. */
export class TokenStream {
  #ws
  #conversation
  #at = 0

  /** How many streams run, whether or not anybody reads them. */
  static get running() {
    return streams.size
  }

  /** @param {import('ws').WebSocket} ws */
  constructor(ws) {
    this.#ws = ws
    this.#conversation = Buffer.alloc(conversationBytes, 'token ')
    streams.add(this)
  }

  push() {
    const update = 'token '.repeat(updateBytes / 6)
    this.#conversation.write(update, this.#at)
    this.#at = (this.#at + updateBytes) % conversationBytes
    this.#ws.send(update)
  }

  cancel() {
    streams.delete(this)
  }
}

/**
 * Sends all that a client missed, at once, as apps do.
 *
 * @param {import('ws').WebSocket} ws
 */
export function sendHistory(ws) {
  for (let sent = 0; sent < historyBytes; sent += pageBytes) ws.send(Buffer.alloc(pageBytes, 'history '))
}

setInterval(() => {
  for (const stream of streams) stream.push()
}, 1_000 / updatesPerSecond).unref()
