import { monotonicMs } from './monotonic.js'

const numberAt = 0
const dueAt = 8

/** A message of its own buffer that tells its number, and when it was due by the clock of the machine. */
export function stamped(bytes: number, number: number, dueMs: number): Buffer {
  const message = Buffer.alloc(bytes, 'x')
  message.writeDoubleLE(number, numberAt)
  message.writeDoubleLE(dueMs, dueAt)
  return message
}

/** Its number, and how many milliseconds after it was due it is read. */
export function readStamp(message: Buffer): { number: number; lateMs: number } {
  return { number: message.readDoubleLE(numberAt), lateMs: monotonicMs() - message.readDoubleLE(dueAt) }
}
