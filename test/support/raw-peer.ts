import net, { type Socket } from 'node:net'
import { Duplex } from 'node:stream'
import tls from 'node:tls'
import { request, upgradeRequest } from './frames.js'
import type { Scope } from './servers.js'
import { heard, until } from './wait.js'

/** A client that speaks bytes, so that it can do what no well-behaved client does. */
export class RawPeer {
  /** What is written to and read from: the TCP socket, or the TLS socket above it. */
  readonly stream: Duplex
  readonly tcp: Socket
  /** Its port, by which the server's side is known. */
  readonly port: number
  received = Buffer.alloc(0)
  ended = false
  closed = false

  constructor(stream: Duplex, tcp: Socket) {
    this.stream = stream
    this.tcp = tcp
    this.port = tcp.localPort as number
    stream.on('data', (chunk: Buffer) => {
      this.received = Buffer.concat([this.received, chunk])
    })
    stream.on('end', () => {
      this.ended = true
    })
    stream.on('error', () => {})
    tcp.on('error', () => {})
    tcp.on('close', () => {
      this.closed = true
    })
  }

  get text(): string {
    return this.received.toString('latin1')
  }

  write(data: string | Buffer): void {
    this.stream.write(data)
  }

  /** Waits for text of the server's, and forgets everything up to it. */
  async expect(text: string): Promise<void> {
    await until(() => this.text.includes(text) || this.ended || this.closed, `'${text}' from the server`)
    const at = this.text.indexOf(text)
    if (at === -1) throw new Error(`the server closed before it sent '${text}'; it sent: ${this.text}`)
    this.received = this.received.subarray(at + text.length)
  }

  /** Stops reading: neither data nor the server's FIN is taken any more. */
  pause(): void {
    this.stream.pause()
    this.tcp.pause()
  }

  /** FIN. */
  end(): void {
    this.stream.end()
  }

  /** RST. */
  reset(): void {
    this.tcp.resetAndDestroy()
    this.stream.destroy()
  }

  async gone(): Promise<void> {
    await until(() => this.closed, 'the end of the connection')
  }
}

/** TCP, without a byte sent. */
export async function connectTcp(scope: Scope, port: number): Promise<RawPeer> {
  const tcp = net.connect({ port, host: '127.0.0.1' })
  scope.after(() => tcp.destroy())
  await heard(tcp, 'connect')
  return new RawPeer(tcp, tcp)
}

/** TCP, or TLS with the handshake done. */
export async function connectRaw(scope: Scope, port: number, secure = false): Promise<RawPeer> {
  if (!secure) return connectTcp(scope, port)
  const tcp = net.connect({ port, host: '127.0.0.1' })
  scope.after(() => tcp.destroy())
  await heard(tcp, 'connect')
  const { localPort } = tcp
  // In between, so that TLS does not take the handle of the TCP socket, and that can still be reset or paused.
  const between = Duplex.from({ readable: tcp, writable: tcp })
  between.on('error', () => {})
  const stream = tls.connect({
    socket: between as Socket,
    rejectUnauthorized: false,
    servername: 'localhost',
  })
  stream.on('error', () => {})
  await heard(stream, 'secureConnect')
  return new RawPeer(stream, Object.defineProperty(tcp, 'localPort', { value: localPort }))
}

/** A WebSocket by hand, past its 101. */
export async function upgradeRaw(
  scope: Scope,
  port: number,
  { secure = false, path = '/' }: { secure?: boolean; path?: string } = {},
): Promise<RawPeer> {
  const peer = await connectRaw(scope, port, secure)
  peer.write(upgradeRequest(path))
  await peer.expect('101 Switching Protocols')
  await peer.expect('\r\n\r\n')
  return peer
}

/** A request by hand, with the whole response (which must have a Content-Length or no body). */
export async function requestRaw(
  peer: RawPeer,
  path = '/',
  headers: Record<string, string> = {},
): Promise<string> {
  peer.write(request(path, headers))
  return readResponse(peer)
}

/** The next response on this connection. */
export async function readResponse(peer: RawPeer): Promise<string> {
  const head = await until(
    () => /^HTTP\/1\.1 [\s\S]*?\r\n\r\n/.exec(peer.text)?.[0] ?? (peer.ended || peer.closed ? '!' : ''),
    'the head of a response',
  )
  if (head === '!') throw new Error('the server closed without a response')
  const length = Number(/content-length: (\d+)/i.exec(head)?.[1] ?? 0)
  await until(() => peer.received.length >= head.length + length || peer.closed, 'the body of a response')
  const whole = peer.text.slice(0, head.length + length)
  peer.received = peer.received.subarray(whole.length)
  return whole
}
