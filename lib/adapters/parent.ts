import cluster from 'node:cluster'

type Stop = (why: string) => void

/** The channel to the parent process counts who listens, and keeps the process alive for them. Node documents neither. */
interface Channel {
  refCounted?(): void
  unrefCounted?(): void
}

const channel = () => process.channel as Channel | null | undefined

/** Messages that came while nobody but us listened. Without us, Node would have kept them for the first listener. */
const kept: [message: unknown, handle: unknown][] = []
let onStop: Stop | undefined

/**
 * Hears a parent that stops its child by a message: pm2 with `shutdown_with_message` says `'shutdown'`. It keeps no
 * process alive. Returns how to leave.
 */
export function listenToParent(stop: Stop): () => void {
  // In a cluster worker Node itself listens.
  if (process.send === undefined || (channel()?.unrefCounted === undefined && !cluster.isWorker))
    return () => {}
  onStop = stop
  process.on('message', onMessage)
  channel()?.unrefCounted?.()
  return () => {
    channel()?.refCounted?.()
    process.removeListener('message', onMessage)
  }
}

/** `worker.disconnect()`, the cluster's way of a stop: the `'disconnect'` event comes only when the last connection has gone. */
export function isDisconnecting(): boolean {
  return cluster.worker?.exitedAfterDisconnect === true
}

function onMessage(message: unknown, handle: unknown): void {
  if (message === 'shutdown') onStop?.('shutdown')
  else if (process.listenerCount('message') === 1 && kept.push([message, handle]) === 1)
    process.on('newListener', onNewListener)
}

function onNewListener(event: string | symbol, listener: unknown): void {
  if (event !== 'message' || listener === onMessage) return
  process.removeListener('newListener', onNewListener)
  for (const [message, handle] of kept.splice(0))
    process.nextTick(() => process.emit('message', message, handle as never))
}
