import type { ServerResponse } from 'node:http'

function ignoreLateWrite(): void {}

const callbackOf = (args: unknown[]) =>
  args.findLast((arg) => typeof arg === 'function') as (() => void) | undefined

/**
 * For a response that we end: the app goes on writing until it learns of that. Node makes an `'error'` of each write after
 * the end, and rejects whoever waits for `'drain'` meanwhile; these are dropped, as those to a peer that has gone. The
 * answer is `false`, as a producer may write until it is, and `'drain'` comes in a later turn of the event loop.
 */
export function endResponse(response: ServerResponse): void {
  response.on('error', ignoreLateWrite)
  response.end()
  const { write, end } = response
  let owesDrain = false
  response.write = function (this: ServerResponse, ...args: unknown[]): boolean {
    if (this.destroyed) return Reflect.apply(write, this, args)
    const callback = callbackOf(args)
    if (callback !== undefined) process.nextTick(callback)
    if (!owesDrain) {
      owesDrain = true
      setImmediate(() => {
        owesDrain = false
        if (!this.destroyed) this.emit('drain')
      })
    }
    return false
  } as typeof write
  // An end without a chunk may come as often as it likes.
  response.end = function (this: ServerResponse, ...args: unknown[]): ServerResponse {
    const callback = callbackOf(args)
    return Reflect.apply(end, this, callback === undefined ? [] : [callback])
  } as typeof end
}
