/** A prime, so that no piece of a usual size begins at the same place of the pattern as another. */
const period = 251
const mostBytes = 1024 * 1024
const pattern = Buffer.from(Array.from({ length: mostBytes + period }, (_, at) => at % period))

/** What every sender sends: the bytes from `at` on, without a copy. */
export function bytesAt(at: number, length: number): Buffer {
  return pattern.subarray(at % period, (at % period) + length)
}

/** What came of one sender's bytes, and whether they came in their order and unharmed. */
export class ByteStream {
  bytes = 0
  intact = true

  take(chunk: Buffer): void {
    if (!chunk.equals(bytesAt(this.bytes, chunk.length))) this.intact = false
    this.bytes += chunk.length
  }
}
