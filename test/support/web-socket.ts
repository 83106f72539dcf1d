import type { Socket } from 'node:net'
import { WebSocket } from 'ws'
import type { Scope } from './servers.js'
import { heard, until } from './wait.js'

export interface WebSocketPeer {
  readonly webSocket: WebSocket
  readonly port: number
  readonly messages: string[]
  /** The close code and reason, once closed. */
  readonly closed: Promise<{ code: number; reason: string }>
}

/** A well-behaved WebSocket client, open. */
export async function openWebSocket(
  scope: Scope,
  port: number,
  { secure = false, path = '/', protocol }: { secure?: boolean; path?: string; protocol?: string } = {},
): Promise<WebSocketPeer> {
  const url = `${secure ? 'wss' : 'ws'}://127.0.0.1:${port}${path}`
  const webSocket = new WebSocket(url, protocol, { rejectUnauthorized: false })
  scope.after(() => webSocket.terminate())
  const messages: string[] = []
  webSocket.on('message', (data) => messages.push(String(data)))
  const closed = new Promise<{ code: number; reason: string }>((resolve) => {
    webSocket.on('close', (code, reason) => resolve({ code, reason: String(reason) }))
  })
  let failure: Error | undefined
  webSocket.on('error', (error) => {
    failure = error
  })
  const opened = await Promise.race([heard(webSocket, 'open').then(() => true), closed.then(() => false)])
  if (!opened) throw failure ?? new Error('the WebSocket did not open')
  const localPort = (webSocket as unknown as { _socket: Socket })._socket.localPort as number
  return { webSocket, port: localPort, messages, closed }
}

/** Sends a message and waits for an answer. */
export async function ask(peer: WebSocketPeer, message: string): Promise<string> {
  const before = peer.messages.length
  peer.webSocket.send(message)
  await until(() => peer.messages.length > before, `an answer to '${message}'`)
  return peer.messages[before] as string
}
