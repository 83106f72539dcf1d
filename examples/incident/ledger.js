/**
 * @typedef {'healthy' | 'vanished' | 'reset' | 'abandoned' | 'stopped reading'} Kind
 *
 * @typedef {{ play: 'healthy' | 'vanished' | 'reset', count: number }
 *   | { play: 'abandoned' | 'stopped reading', count: number, everyMs: number }
 *   | { play: 'request', path: string }
 *   | { play: 'going down' }} Order
 *
 * @typedef {{ event: 'ready' }
 *   | { event: 'open', kind: Kind, port: number | undefined, dead: boolean }
 *   | { event: 'dead', port: number | undefined }
 *   | { event: 'close', kind: Kind, port: number, code: number }
 *   | { event: 'response', path: string, status: number | undefined }} ClientMessage
 *
 * @typedef {object} Entry What both ends of one connection told.
 * @property {Kind} [kind] The client's side: what it plays.
 * @property {number} [deadAt] Since when nobody is behind it.
 * @property {number} [code] The close code that the client got.
 * @property {boolean} [opened] The server's side: whether it took it for a WebSocket.
 * @property {string} [why] Why it ended, as the server tells it.
 * @property {number} [endedAt] When the server was rid of it.
 */

/** @type {Kind[]} */
export const kinds = ['healthy', 'vanished', 'reset', 'abandoned', 'stopped reading']

/** The server does not know who is who, and the clients do not know what the server holds: this joins the two, by port. */
export class Ledger {
  /** @type {Entry[]} */
  entries = []
  /** @type {Map<number, Entry>} */
  #byPort = new Map()

  /**
   * @param {number | undefined} port
   * @param {(entry: Entry) => boolean} isAnother whether the port must have been given to another connection
   * @returns {Entry}
   */
  #entry(port, isAnother = () => false) {
    if (port === undefined) return {}
    let entry = this.#byPort.get(port)
    if (entry === undefined || isAnother(entry)) {
      entry = {}
      this.#byPort.set(port, entry)
      this.entries.push(entry)
    }
    return entry
  }

  /** @param {ClientMessage} message */
  noteClient(message) {
    if (message.event === 'open') {
      const entry = this.#entry(message.port, ({ kind }) => kind !== undefined)
      entry.kind = message.kind
      if (message.dead) entry.deadAt = performance.now()
    } else if (message.event === 'dead') this.#entry(message.port).deadAt = performance.now()
    else if (message.event === 'close') this.#entry(message.port).code = message.code
  }

  /**
   * @param {{ opened?: number, closed?: number, why?: string }} message
   * @returns {boolean} whether it is about one of the clients' subscriptions
   */
  noteServer({ opened, closed, why }) {
    if (opened !== undefined) this.#entry(opened, (entry) => entry.opened === true).opened = true
    if (closed === undefined) return opened !== undefined
    const entry = this.#entry(closed)
    // A request's connection, on the port that a subscription had before.
    if (entry.opened && entry.endedAt !== undefined) return false
    end(entry, why)
    return entry.opened === true || entry.kind !== undefined
  }

  /** The process is gone, and with it everything it held. */
  noteServerGone() {
    for (const entry of this.entries) if (isHeld(entry)) end(entry, 'unknown')
  }

  /** @param {Kind} kind */
  noteDead(kind) {
    for (const entry of this.#of(kind)) entry.deadAt ??= performance.now()
  }

  /** @param {Kind} kind */
  #of(kind) {
    return this.entries.filter((entry) => entry.kind === kind)
  }

  get open() {
    return this.entries.filter(isHeld).length
  }

  /**
   * How many connections of a kind the server holds.
   *
   * @param {Kind} kind
   */
  held(kind) {
    return this.#of(kind).filter(isHeld).length
  }

  /** Connections that the server holds though nobody is behind them. */
  get deadHeld() {
    return this.entries.filter((entry) => isHeld(entry) && entry.deadAt !== undefined).length
  }

  /** How long the server held a connection that nobody was behind, at most. */
  get longestDeadMs() {
    const now = performance.now()
    const times = this.entries.map(({ opened, deadAt, endedAt }) =>
      opened && deadAt !== undefined ? (endedAt ?? now) - deadAt : 0,
    )
    return Math.max(0, ...times)
  }

  /**
   * How the connections of a kind ended, as the server tells it: counts by reason.
   *
   * @param {Kind} kind
   */
  endings(kind) {
    return count(this.#of(kind).map(({ opened, why }) => why ?? (opened ? 'unknown' : 'not noticed')))
  }

  /**
   * The close codes that the clients of a kind got.
   *
   * @param {Kind} kind
   */
  codes(kind) {
    return count(this.#of(kind).flatMap(({ code }) => (code === undefined ? [] : [String(code)])))
  }
}

/** @param {Entry} entry */
function isHeld({ opened, endedAt }) {
  return opened === true && endedAt === undefined
}

/**
 * @param {Entry} entry
 * @param {string} [why]
 */
function end(entry, why = 'unknown') {
  entry.endedAt = performance.now()
  entry.why = why
}

/** @param {string[]} words */
function count(words) {
  /** @type {Record<string, number>} */
  const counts = {}
  for (const word of words) counts[word] = (counts[word] ?? 0) + 1
  return counts
}
