import type { Socket } from 'node:net'

/** What a libuv handle counts. Node has these on every stream handle, TCP and TLS, though not in its documentation. */
interface CountingHandle {
  bytesWritten: number
  writeQueueSize: number
}

/** What a socket's stream knows of its writes, and Node's documentation does not. */
interface Writing {
  /** What the handle was given, also once it is closed. */
  readonly _bytesDispatched?: number
  /** `writelen`: the part of `writableLength` that the handle was given. */
  readonly _writableState?: { readonly writelen?: number }
}

/** `socket.bytesWritten` without its walk over the queue. Text that waits there counts as one byte a character. */
export function writtenBytes(socket: Socket): number {
  const { _bytesDispatched, _writableState } = socket as Writing
  if (_bytesDispatched === undefined || _writableState?.writelen === undefined)
    return socket.bytesWritten ?? 0
  return _bytesDispatched + socket.writableLength - _writableState.writelen
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
  return writtenBytes(socket) - socket.writableLength
}

/** Whether the kernel has let go of the peer, as it does when that resets or cannot be reached; `undefined`: it does not say. */
export function hasLostPeer(socket: Socket): boolean | undefined {
  const handle = (socket as { _handle?: { getpeername?(name: object): number } | null })._handle
  // Windows still knows the peer's name then, and a unix socket's has none.
  if (process.platform === 'win32' || typeof handle?.getpeername !== 'function') return undefined
  return handle.getpeername({}) !== 0
}

/** Destroys a socket; with a RST where asked and possible (TLS has no handle of its own to reset), so that the kernel does not keep what a dead peer never takes. */
export function destroySocket(socket: Socket, reset: boolean): void {
  if (!reset || (socket as { encrypted?: boolean }).encrypted === true) {
    const parent = (socket as { _parent?: Socket | null })._parent
    if (reset && typeof parent?.resetAndDestroy === 'function') {
      try {
        parent.resetAndDestroy()
      } catch {
        // The handle moved to the TLS socket in this version of Node: an ordinary destroy must do.
      }
    }
    socket.destroy()
  } else socket.resetAndDestroy()
}
