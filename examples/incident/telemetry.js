// What the server tells the demo. Not a part of the app: it only reports what each side can know.

/** @param {object} message */
const tell = (message) => process.send?.(message)

// The demo is gone: so are we.
process.on('disconnect', () => process.exit(1))
process.channel?.unref()

// Where there is no /proc, nobody can read our memory from outside.
if (process.platform !== 'linux') setInterval(() => tell({ memory: process.memoryUsage.rss() }), 100).unref()

/** @param {import('node:http').Server} server */
export function tellListening(server) {
  const address = server.address()
  tell({ listening: typeof address === 'object' ? address?.port : undefined })
}

/** @param {number} running */
export const tellStreams = (running) => tell({ streams: running })

/** @param {import('ws').WebSocketServer} wss */
function tellOpened(wss) {
  wss.on('connection', (_ws, req) => tell({ opened: req.socket.remotePort }))
}

/**
 * Bare: a close code is all that the API of ws has to say.
 *
 * @param {import('ws').WebSocketServer} wss
 */
export function tellAboutWebSockets(wss) {
  tellOpened(wss)
  wss.on('connection', (ws, req) => {
    const { remotePort } = req.socket
    ws.on('close', (code) => tell({ closed: remotePort, why: String(code) }))
  })
}

/**
 * With peerpulse: every connection has its reason.
 *
 * @param {import('peerpulse').Peerpulse} pulse
 * @param {import('ws').WebSocketServer} wss
 */
export function tellAboutPulse(pulse, wss) {
  tellOpened(wss)
  pulse.on('connection:close', ({ remotePort, closeReason }) =>
    tell({ closed: remotePort, why: closeReason }),
  )
}
