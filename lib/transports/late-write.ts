import type { ServerResponse } from 'node:http'

function ignoreLateWrite(): void {}

/**
 * For a response that we end: the app goes on writing until it learns of that. Node makes an `'error'` of each write after
 * the end, and rejects whoever waits for `'drain'` meanwhile; these are dropped, as those to a peer that has gone. The
 * answer is `false`, as a producer may write until it is, and `'drain'` comes in a later turn of the event loop.
 */
export function endResponse(response: ServerResponse): void {
  response.on('error', ignoreLateWrite)
  response.end()
  const { write } = response
  let owesDrain = false
  response.write = function (this: ServerResponse, ...args: unknown[]): boolean {
    if (this.destroyed) return Reflect.apply(write, this, args)
    const callback = args.findLast((arg) => typeof arg === 'function')
    if (callback !== undefined) process.nextTick(callback as () => void)
    if (!owesDrain) {
      owesDrain = true
      setImmediate(() => {
        owesDrain = false
        if (!this.destroyed) this.emit('drain')
      })
    }
    return false
  } as typeof write
}
