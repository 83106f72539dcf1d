import { connect, type Socket } from 'node:net'
import { FrameReader, maskedFrame, opcode } from './frames.js'

export interface PeerOptions {
  readonly port: number
  readonly path?: string
  readonly protocol?: string
  readonly localAddress?: string
  /** A message that is the server's ping, and the one that answers it. */
  readonly textPing?: string
  readonly textPong?: string
}

const message = maskedFrame(opcode.text, Buffer.from('{"n":1}'))

/** A WebSocket of the client's side on a bare socket, as cheap as it can be: it answers pings and close frames, and reads nothing else. */
export class RawWebSocket {
  /** Pings it has answered. */
  pongs = 0
  /** A silent peer keeps its socket open, and sends no byte. */
  silent = false
  /** By `performance.now()`. */
  lastSentAt = 0
  closedAt: number | undefined
  /** Messages it has got. */
  messages = 0
  /** The server said goodbye with a close frame. */
  gotClose = false

  /** Called with each message, if someone asks for them. */
  onMessage: ((payload: Buffer) => void) | undefined

  readonly #options: PeerOptions
  readonly #textPing: Buffer
  readonly #frames = new FrameReader((code, payload) => this.#onFrame(code, payload))
  #socket!: Socket

  constructor(options: PeerOptions) {
    this.#options = options
    this.#textPing = Buffer.from(options.textPing ?? '')
  }

  get open(): boolean {
    return this.closedAt === undefined
  }

  /** Nothing that it sent waits for the network. */
  get isFree(): boolean {
    return this.#socket.writableLength === 0
  }

  async connect(): Promise<void> {
    const { port, path = '/', protocol, localAddress } = this.#options
    this.#socket = connect({
      port,
      host: '127.0.0.1',
      noDelay: true,
      ...(localAddress !== undefined && { localAddress }),
    })
    for (const event of ['error', 'end', 'close'])
      this.#socket.on(event, () => {
        this.closedAt ??= performance.now()
      })
    this.#send(
      `GET ${path} HTTP/1.1\r\nHost: bench\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n` +
        'Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n' +
        `${protocol === undefined ? '' : `Sec-WebSocket-Protocol: ${protocol}\r\n`}\r\n`,
    )
    const rest = await this.#upgraded()
    // Until its answer the handshake may have waited for the server's turn.
    this.lastSentAt = performance.now()
    this.#socket.on('data', (chunk) => this.#frames.read(chunk))
    this.#frames.read(rest)
  }

  say(frame = message): void {
    if (this.open && !this.silent) this.#send(frame)
  }

  /** From here on it takes nothing from the network: the server's buffers fill up, and a FIN is not seen. */
  stopReading(): void {
    this.#socket.pause()
  }

  /** Ends the connection with an RST. */
  reset(): void {
    this.#socket.resetAndDestroy()
  }

  destroy(): void {
    this.#socket.destroy()
  }

  /** Waits for the end of the response's head; resolves with the bytes behind it. */
  #upgraded(): Promise<Buffer> {
    const socket = this.#socket
    let head = Buffer.alloc(0)
    return new Promise((resolve, reject) => {
      const onClose = () => reject(new Error(`no upgrade: ${head.toString('latin1') || 'closed'}`))
      socket.once('close', onClose)
      socket.on('data', function onData(chunk) {
        head = Buffer.concat([head, chunk])
        const end = head.indexOf('\r\n\r\n')
        if (end === -1) return
        socket.off('data', onData)
        socket.off('close', onClose)
        if (head.toString('latin1', 9, 12) === '101') return resolve(head.subarray(end + 4))
        socket.destroy()
        onClose()
      })
    })
  }

  #onFrame(code: number, payload: Buffer): void {
    if (this.silent) return
    if (code === opcode.text || code === opcode.binary) {
      this.messages++
      this.onMessage?.(payload)
    }
    if (code === opcode.ping) this.#answer(maskedFrame(opcode.pong, payload))
    else if (code === opcode.close) {
      this.gotClose = true
      this.#send(maskedFrame(opcode.close, payload.subarray(0, 2)))
    } else if (code === opcode.text && this.#textPing.length > 0 && payload.equals(this.#textPing))
      this.#answer(maskedFrame(opcode.text, Buffer.from(this.#options.textPong ?? '')))
  }

  #answer(frame: Buffer): void {
    this.pongs++
    this.#send(frame)
  }

  #send(data: Buffer | string): void {
    this.lastSentAt = performance.now()
    this.#socket.write(data)
  }
}
