/** @type {WeakSet<import('ws').WebSocket>} */
const alive = new WeakSet()

/**
 * The heartbeat of the README of ws ("How to detect and close broken connections?"), which most apps have.
 * Every round, who has not answered since the last one is terminated.
 *
 * @param {import('ws').WebSocketServer} wss
 * @param {number} intervalMs
 */
export function heartbeat(wss, intervalMs) {
  wss.on('connection', (ws) => {
    alive.add(ws)
    ws.on('error', () => {})
    ws.on('pong', () => alive.add(ws))
  })
  setInterval(() => {
    for (const ws of wss.clients) {
      if (!alive.delete(ws)) ws.terminate()
      else ws.ping()
    }
  }, intervalMs)
}
