import { executionAsyncId } from 'node:async_hooks'
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

/**
 * Whether a socket is destroyed because of its peer, and not with an error that the app was told elsewhere. That Node does it
 * costs nothing to see; otherwise the kernel is asked.
 */
export function failsByPeer(socket: Socket, error: Error): boolean {
  return isNodes(socket, error) || hasLostPeer(socket) === true
}

/** Node notes the error of a write before it destroys, and one of a read comes in the handle's async context, while no data is handed on. */
function isNodes(socket: Socket, error: Error): boolean {
  if (socket.errored === error) return true
  const { _handle, _readableState } = socket as {
    _handle?: { getAsyncId?(): number } | null
    _readableState?: { readonly reading?: boolean }
  }
  return _readableState?.reading === true && _handle?.getAsyncId?.() === executionAsyncId()
}

/** Whether the kernel has let go of the peer, as it does when that resets or cannot be reached; `undefined`: it does not say. */
export function hasLostPeer(socket: Socket): boolean | undefined {
  const handle = (socket as { _handle?: { getpeername?(name: object): number } | null })._handle
  // Windows still knows the peer's name then, and a unix socket's has none.
  if (process.platform === 'win32' || typeof handle?.getpeername !== 'function') return undefined
  const status: unknown = handle.getpeername({})
  // A TLS socket on a unix socket passes the question on to nobody.
  return typeof status === 'number' ? status !== 0 : undefined
}

/** `reading`: Node has told it to read. */
interface ReadingHandle {
  readonly reading?: boolean
  readStop?(): number
  readStart?(): number
}

const readingHandleOf = (socket: Socket) => (socket as { _handle?: ReadingHandle | null })._handle

/** How many hold a handle: a pulse that has requests wait, its pressure, another pulse. */
const holds = new WeakMap<ReadingHandle, number>()

/** In place of a held handle's own: Node starts a socket again whenever a response has drained. */
const startLater = () => 0

/**
 * Stops reading below the streams, until `goOnReading` is called as often. What the app pauses and resumes meanwhile, the
 * socket, its WebSocket or a request's body, it does for itself, and finds as it left it.
 */
export function holdReading(socket: Socket): boolean {
  const handle = readingHandleOf(socket)
  if (handle?.readStart === undefined) return false
  const held = holds.get(handle) ?? 0
  if (held === 0) {
    handle.readStop?.()
    handle.readStart = startLater
  }
  holds.set(handle, held + 1)
  return true
}

/** The same where it is read now; `false`: it is not. */
export function stopReading(socket: Socket): boolean {
  return readingHandleOf(socket)?.reading === true && holdReading(socket)
}

function startReading(handle: ReadingHandle): void {
  if (handle.reading === true) handle.readStart?.()
}

/** If Node has stopped it too, it is Node that goes on. */
export function goOnReading(socket: Socket): void {
  const handle = readingHandleOf(socket)
  const held = handle ? holds.get(handle) : undefined
  if (!handle || held === undefined) return
  if (held > 1) {
    holds.set(handle, held - 1)
    return
  }
  holds.delete(handle)
  delete handle.readStart
  startReading(handle)
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
