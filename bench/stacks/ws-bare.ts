import type { Commands } from '../harness/worker-main.js'
import { listen } from './listen.js'
import { websocketApp } from './websocket-app.js'

/** `ws` alone, without a heartbeat. */
export default async function start(): Promise<Commands> {
  return listen(websocketApp().server)
}
