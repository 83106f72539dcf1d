import { type Seam, takeOverEmit } from './emit-seam.js'
import type { WebSocketListeners } from './websocket.js'

interface WebSocketServer {
  emit: (...args: never[]) => boolean
  readonly clients?: Iterable<unknown>
}

/**
 * Follows the WebSockets of a WebSocketServer. Those of an attached http server are known already; this covers the
 * ones that were open before, and servers whose http server was never attached (`noServer`).
 */
export function watchWebSocketServer(
  wss: WebSocketServer,
  webSockets: WebSocketListeners,
  onError: (error: unknown) => void,
): Seam {
  const seam = takeOverEmit(
    wss,
    (event, webSocket) => {
      if (event === 'connection') webSockets.adoptOrWarn(webSocket)
      return false
    },
    onError,
  )
  for (const webSocket of wss.clients ?? []) {
    // Its methods may be the app's own, and throw; the others are followed all the same.
    try {
      webSockets.adopt(webSocket)
    } catch (error) {
      onError(error)
    }
  }
  return seam
}
