import { inspect } from 'node:util'
import { shutDownEveryone } from './terminus.js'

/** Told of an error that nobody caught; `true`: it is in the app's log now. */
export type UncaughtListener = (error: unknown, origin: string) => boolean

const listeners = new Set<UncaughtListener>()
let isCrashing = false

/** Has an uncaught error drain every pulse of the process, which then exits with 1. Returns how to leave. */
export function joinUncaught(listener: UncaughtListener): () => void {
  if (listeners.size === 0) process.on('uncaughtException', onUncaught)
  listeners.add(listener)
  return () => {
    listeners.delete(listener)
    // One that crashes keeps its listener: the next error would end it before the drain has.
    if (listeners.size === 0 && !isCrashing) process.removeListener('uncaughtException', onUncaught)
  }
}

/** A rejection that nobody handles comes here too, unless the app listens for those itself. */
function onUncaught(error: unknown, origin: string): void {
  const told = [...listeners].map((listener) => listener(error, origin))
  // Node would have printed it. Without a log, that is for us to do: nobody may lose the reason of a crash.
  if (!told.includes(true)) process.stderr.write(`Uncaught: ${printed(error)}\n`)
  if (isCrashing) return
  isCrashing = true
  // A shutdown that runs already would say 0.
  process.once('exit', () => {
    process.exitCode ||= 1
  })
  shutDownEveryone(origin).finally(() => process.exit())
}

function printed(error: unknown): string {
  try {
    return inspect(error)
  } catch {
    return 'an error that cannot be printed'
  }
}
