/** The opcodes of RFC 6455 that a load meets. */
export const opcode = { text: 1, binary: 2, close: 8, ping: 9, pong: 10 } as const

const mask = [0x12, 0x34, 0x56, 0x78] as const

/** A client's frame, masked. */
export function maskedFrame(code: number, payload: Buffer): Buffer {
  const { length } = payload
  if (length > 0xffff) throw new RangeError('a payload of 65,535 bytes at most')
  const start = length < 126 ? 2 : 4
  const frame = Buffer.allocUnsafe(start + mask.length + length)
  frame[0] = 0x80 | code
  frame[1] = 0x80 | (length < 126 ? length : 126)
  if (length >= 126) frame.writeUInt16BE(length, 2)
  frame.set(mask, start)
  for (let i = 0; i < length; i++)
    frame[start + mask.length + i] = (payload[i] as number) ^ (mask[i & 3] as number)
  return frame
}

/** Reads a server's frames from chunks, which may end anywhere. */
export class FrameReader {
  readonly #onFrame: (code: number, payload: Buffer) => void
  #rest: Buffer | undefined

  constructor(onFrame: (code: number, payload: Buffer) => void) {
    this.#onFrame = onFrame
  }

  read(chunk: Buffer): void {
    let bytes = this.#rest === undefined ? chunk : Buffer.concat([this.#rest, chunk])
    for (let length = this.#readOne(bytes); length > 0; length = this.#readOne(bytes))
      bytes = bytes.subarray(length)
    this.#rest = bytes.length > 0 ? bytes : undefined
  }

  /** The length of the frame that `bytes` begin with, once it was handed over; 0 while it is not complete. */
  #readOne(bytes: Buffer): number {
    if (bytes.length < 2) return 0
    const short = (bytes[1] as number) & 0x7f
    const start = short === 126 ? 4 : short === 127 ? 10 : 2
    if (bytes.length < start) return 0
    const length =
      short === 126 ? bytes.readUInt16BE(2) : short === 127 ? Number(bytes.readBigUInt64BE(2)) : short
    const end = start + length
    if (bytes.length < end) return 0
    this.#onFrame((bytes[0] as number) & 0x0f, bytes.subarray(start, end))
    return end
  }
}
