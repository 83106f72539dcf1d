import type { ServerResponse } from 'node:http'

function ignoreLateWrite(): void {}

/**
 * For a response that we end: the app goes on writing until it learns of that. Node makes an `'error'` of each write after
 * the end, and rejects whoever waits for `'drain'` meanwhile; these are dropped, as those to a peer that has gone.
 */
export function endResponse(response: ServerResponse): void {
  response.on('error', ignoreLateWrite)
  response.end()
  const { write } = response
  response.write = function (this: ServerResponse, ...args: unknown[]): boolean {
    if (this.destroyed) return Reflect.apply(write, this, args)
    const callback = args.findLast((arg) => typeof arg === 'function')
    if (callback !== undefined) process.nextTick(callback as () => void)
    return true
  } as typeof write
}
