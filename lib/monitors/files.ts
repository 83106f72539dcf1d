import { closeSync, openSync, readFileSync, readSync } from 'node:fs'

/** Files as text; `undefined` where there is none, or none that may be read. */
export interface Files {
  read(path: string): string | undefined
}

/** Files that stay open between two readings. */
export interface OpenFiles extends Files {
  close(): void
}

/** For what is read once. */
export const wholeFiles: Files = {
  read(path) {
    try {
      return readFileSync(path, 'utf8')
    } catch {
      return undefined
    }
  },
}

/** `memory.stat` has about 1.5 KiB today, and grows with each kernel. */
const mostBytes = 16_384

/**
 * Files of the kernel that are read over and over: opened when first asked for, then read from their beginning, which
 * makes the kernel write them anew.
 */
export function openFiles(): OpenFiles {
  const descriptors = new Map<string, number>()
  let buffer: Buffer | undefined
  return {
    read(path) {
      try {
        let descriptor = descriptors.get(path)
        if (descriptor === undefined) {
          descriptor = openSync(path, 'r')
          descriptors.set(path, descriptor)
        }
        buffer ??= Buffer.allocUnsafeSlow(mostBytes)
        return buffer.toString('latin1', 0, readSync(descriptor, buffer, 0, mostBytes, 0))
      } catch {
        return undefined
      }
    },
    close() {
      for (const descriptor of descriptors.values()) closeSync(descriptor)
      descriptors.clear()
    },
  }
}
