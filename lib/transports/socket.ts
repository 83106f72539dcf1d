import type { Socket } from 'node:net'

/** What a libuv handle counts. Node has these on every stream handle, TCP and TLS, though not in its documentation. */
interface CountingHandle {
  bytesWritten: number
  writeQueueSize: number
}

/**
 * Bytes the kernel has taken. `bytesWritten - writableLength` would not do: a large write counts as one until its last
 * byte is gone, so a slow link that drains it would look stalled.
 */
export function drainedBytes(socket: Socket): number {
  // The handle of a TLS socket counts what it encrypts, and goes back and forth; the TCP handle below does not.
  const below = (socket as { _parent?: Socket | null })._parent ?? socket
  const handle = (below as { _handle?: Partial<CountingHandle> | null })._handle
  if (typeof handle?.bytesWritten === 'number' && typeof handle.writeQueueSize === 'number') {
    return handle.bytesWritten - handle.writeQueueSize
  }
  return (socket.bytesWritten ?? 0) - socket.writableLength
}

/**
 * Destroys a socket; with a RST where asked and possible, so that the kernel does not keep what a dead peer never takes.
 * Only a TCP handle can be reset: a unix socket has none, and that of TLS lies below it.
 */
export function destroySocket(socket: Socket, reset: boolean): void {
  if (reset) {
    const isSecure = (socket as { encrypted?: boolean }).encrypted === true
    const below = isSecure ? (socket as { _parent?: Socket | null })._parent : socket
    try {
      // Without a handle it would make up an error.
      if ((below as { _handle?: unknown } | null | undefined)?._handle) below?.resetAndDestroy()
    } catch {
      // No TCP handle, or it moved to the TLS socket in this version of Node: an ordinary destroy must do.
    }
  }
  socket.destroy()
}
