import { AsyncResource } from 'node:async_hooks'

/** Made when the module is loaded, which is before any request as a rule. */
const root = new AsyncResource('peerpulse', { requireManualDestroy: true })

/**
 * Starts what outlives its caller. A timer, handle or promise keeps the async context in which it was made, and runs in it:
 * the `AsyncLocalStorage` store of one request would be kept for ever, and be that of all our log lines.
 */
export function outside<T>(run: () => T): T {
  return root.runInAsyncScope(run)
}
