import { AsyncResource } from 'node:async_hooks'

const root = new AsyncResource('peerpulse', { requireManualDestroy: true })
// It may have been a request that imported us. What a resource has of its context lies under symbols, beside its two ids.
for (const symbol of Object.getOwnPropertySymbols(root))
  if (!symbol.description?.includes('async_id')) Reflect.set(root, symbol, undefined)

/**
 * Starts what outlives its caller. A timer, handle or promise keeps the async context in which it was made, and runs in it:
 * the `AsyncLocalStorage` store of one request would be kept for ever, and be that of all our log lines.
 */
export function outside<T>(run: () => T): T {
  return root.runInAsyncScope(run)
}
