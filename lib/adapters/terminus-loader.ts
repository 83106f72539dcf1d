import { createRequire } from 'node:module'

/** What of terminus is called: the sequence of signals, on something that can be closed. */
export type RunOnSignals = (
  server: { close(done: (error?: Error) => void): void },
  options: {
    signal: string
    signals: string[]
    useExit0: boolean
    timeout: number
    beforeShutdown(): Promise<unknown>
    onSignal(): Promise<unknown>
    onShutdown(): Promise<unknown>
  },
) => unknown

/**
 * Loads terminus when it is needed, and not before. Bundlers follow the plain `require`, which Node has in CommonJS alone.
 * A bundle of ES modules may have none for what terminus itself requires: the sequence is the same without terminus.
 */
export function loadTerminus(): RunOnSignals {
  try {
    return createRequire(import.meta.url)('@godaddy/terminus').createTerminus
  } catch {
    // A bundle: no node_modules lie beside it, and in CommonJS it has no `import.meta.url`.
  }
  try {
    return require('@godaddy/terminus').createTerminus
  } catch {
    return runOnSignals
  }
}

/** As terminus does it: once, in this order, and whatever fails makes the exit code 1. */
const runOnSignals: RunOnSignals = (server, { signals, beforeShutdown, onSignal, onShutdown }) => {
  let isShuttingDown = false
  async function shutDown(): Promise<void> {
    if (isShuttingDown) return
    isShuttingDown = true
    try {
      await beforeShutdown()
      await new Promise<void>((resolve, reject) =>
        server.close((error) => (error ? reject(error) : resolve())),
      )
      await onSignal()
      await onShutdown()
      process.exit(0)
    } catch {
      process.exit(1)
    }
  }
  for (const signal of signals) process.on(signal, shutDown)
}
