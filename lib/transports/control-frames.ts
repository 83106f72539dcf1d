/**
 * Control frames of RFC 6455 (section 5.5), read where they lie. `ws` tells of them too, but two more listeners on each
 * WebSocket have Node double the table of its events: 110 bytes a connection (`npm run bench -- memory`).
 */

const pingByte = 0x89
const pongByte = 0x8a
const masked = 0x80
const longestPayload = 125
/** Of the server's frames: opcode and length. */
export const headerBytes = 2
/** A client's frames are masked with four bytes. */
export const maskedHeaderBytes = headerBytes + 4

/** Tells our pongs from those of the app's own pings. */
const pingPayload = Buffer.from('ppls')
/** FIN and opcode 9, the length, the payload. */
export const pingFrame = Buffer.from([pingByte, pingPayload.length, ...pingPayload])

/**
 * The length of the payload of a client's ping or pong that lies at `at`, whole; `-1`: there is none. A chunk that begins
 * within a message may look like one, which hides a few bytes of that message from the idle timeout, and no more.
 */
export function controlPayload(chunk: Buffer, at: number): number {
  const opcode = chunk[at]
  if (opcode !== pingByte && opcode !== pongByte) return -1
  const length = (chunk[at + 1] ?? 0) - masked
  return length >= 0 && length <= longestPayload && at + maskedHeaderBytes + length <= chunk.length
    ? length
    : -1
}

/** Whether the frame at `at` answers a ping of ours. */
export function isOurPong(chunk: Buffer, at: number, length: number): boolean {
  if (chunk[at] !== pongByte || length !== pingPayload.length) return false
  const mask = at + headerBytes
  const payload = at + maskedHeaderBytes
  for (let i = 0; i < length; i++)
    if (((chunk[payload + i] ?? 0) ^ (chunk[mask + i] ?? 0)) !== pingPayload[i]) return false
  return true
}
