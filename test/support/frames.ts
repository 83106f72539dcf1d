import { randomBytes } from 'node:crypto'

/** RFC 6455 section 5.2. */
export const opcodes = { text: 1, binary: 2, reserved: 3, close: 8, ping: 9, pong: 10 } as const

/** One final frame as a client sends it: masked (with zeros, so that the payload stays readable). At most 125 bytes. */
export function clientFrame(opcode: number, payload: Buffer | string = ''): Buffer {
  const body = Buffer.from(payload)
  return Buffer.concat([Buffer.from([0x80 | opcode, 0x80 | body.length, 0, 0, 0, 0]), body])
}

/** Frames that the protocol forbids, by what is wrong with them. */
export const badFrames: Readonly<Record<string, Buffer>> = {
  'reserved opcode': clientFrame(opcodes.reserved, 'x'),
  'not masked': Buffer.from([0x81, 0x01, 0x78]),
  'reserved bit': Buffer.from([0xc1 | 0x20, 0x81, 0, 0, 0, 0, 0x78]),
  'invalid UTF-8': clientFrame(opcodes.text, Buffer.from([0xff, 0xfe])),
  'close code 5': clientFrame(opcodes.close, Buffer.from([0, 5])),
}

/** The head of an upgrade request. */
export function upgradeRequest(path = '/', headers: Record<string, string> = {}): string {
  const lines = Object.entries({
    Host: 'localhost',
    Connection: 'Upgrade',
    Upgrade: 'websocket',
    'Sec-WebSocket-Version': '13',
    'Sec-WebSocket-Key': randomBytes(16).toString('base64'),
    ...headers,
  }).map(([name, value]) => `${name}: ${value}\r\n`)
  return `GET ${path} HTTP/1.1\r\n${lines.join('')}\r\n`
}

/** An ordinary request. */
export function request(path = '/', headers: Record<string, string> = {}, method = 'GET'): string {
  const lines = Object.entries({ Host: 'localhost', ...headers }).map(
    ([name, value]) => `${name}: ${value}\r\n`,
  )
  return `${method} ${path} HTTP/1.1\r\n${lines.join('')}\r\n`
}
