/**
 * Control frames of RFC 6455 (section 5.5), read where they lie. `ws` tells of them too, but two more listeners on each
 * WebSocket have Node double the table of its events: 110 bytes a connection (`npm run bench -- memory`).
 */

const pingByte = 0x89
const pongByte = 0x8a
const maskBit = 0x80
const longestPayload = 125
/** Opcode and length. */
const headerBytes = 2
const maskBytes = 4

/** Tells our pongs from those of the app's own pings. */
export const pingPayload = Buffer.from('ppls')
/** FIN and opcode 9, the length, the payload. */
export const pingFrame = Buffer.from([pingByte, pingPayload.length, ...pingPayload])

const secondByte = (chunk: Buffer, at: number) => chunk[at + 1] ?? 0

/** Those of a client are masked, with four bytes. */
function maskBytesAt(chunk: Buffer, at: number): number {
  return (secondByte(chunk, at) & maskBit) === 0 ? 0 : maskBytes
}

/** Whether the frame at `at` is a ping or a pong, of which a part may still have to come. */
export function beginsControlFrame(chunk: Buffer, at: number): boolean {
  return chunk[at] === pingByte || chunk[at] === pongByte
}

/** The bytes of the ping or pong that lies at `at`, whole; 0: there is none. */
export function controlFrameAt(chunk: Buffer, at: number): number {
  if (!beginsControlFrame(chunk, at)) return 0
  const length = secondByte(chunk, at) & ~maskBit
  const size = headerBytes + maskBytesAt(chunk, at) + length
  return length <= longestPayload && at + size <= chunk.length ? size : 0
}

/** The length of what follows the first byte of a frame, in a chunk that begins with its second. */
export function controlBytesAfterFirst(chunk: Buffer): number {
  const second = chunk[0] ?? 0
  return 1 + ((second & maskBit) === 0 ? 0 : maskBytes) + (second & ~maskBit)
}

export const isPing = (chunk: Buffer, at: number) => chunk[at] === pingByte

/** Whether the frame at `at` answers a ping of ours. */
export function isOurPong(chunk: Buffer, at: number): boolean {
  const { length } = pingPayload
  if (chunk[at] !== pongByte || (secondByte(chunk, at) & ~maskBit) !== length) return false
  const mask = at + headerBytes
  const masking = maskBytesAt(chunk, at)
  for (let i = 0; i < length; i++) {
    const key = masking === 0 ? 0 : (chunk[mask + i] ?? 0)
    if (((chunk[mask + masking + i] ?? 0) ^ key) !== pingPayload[i]) return false
  }
  return true
}
