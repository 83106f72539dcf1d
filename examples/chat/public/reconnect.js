/** What to do after failures that brought no word of the server: the first pause, and the longest. */
const firstPauseMs = 500
const longestPauseMs = 30_000

/**
 * Reads a close reason as peerpulse writes it: `<reason>`, or `<reason>; reconnect=<minMs>..<maxMs>` where the client
 * should come back. `undefined`: not of that shape.
 *
 * @param {string} text the `reason` of a CloseEvent
 * @returns {{ reason: string, window: { minMs: number, maxMs: number } | undefined } | undefined}
 */
export function parseCloseReason(text) {
  const match = /^([a-z]+(?:-[a-z]+)*)(?:; reconnect=(\d{1,9})\.\.(\d{1,9}))?$/.exec(text)
  if (match === null) return undefined
  const [, reason, min, max] = match
  if (min === undefined || max === undefined) return { reason, window: undefined }
  const window = { minMs: Number(min), maxMs: Number(max) }
  return window.minMs <= window.maxMs ? { reason, window } : undefined
}

/**
 * How long to wait before the next attempt, in milliseconds; `undefined`: do not come back by yourself.
 *
 * The pause is random, and that is the point: a server that restarts closes all of its clients at once, and clients
 * that come back at once stop the one that has just started.
 *
 * @param {{ code: number, reason: string }} closed a CloseEvent
 * @param {number} failures attempts that have failed since the last connection
 * @param {() => number} [random]
 * @returns {number | undefined}
 */
export function reconnectDelayMs(closed, failures, random = Math.random) {
  const word = parseCloseReason(closed.reason)
  if (word?.window !== undefined) {
    const { minMs, maxMs } = word.window
    return Math.round(minMs + random() * (maxMs - minMs))
  }
  // 1006 is the browser's own: no close frame came. The network failed, or the server was not there (a refused
  // upgrade's 503 looks the same to a page). 1005: a close frame without a code.
  if (closed.code !== 1006 && closed.code !== 1005) return undefined
  return Math.round(random() * Math.min(longestPauseMs, firstPauseMs * 2 ** Math.min(failures, 10)))
}
