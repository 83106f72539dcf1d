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
    if (!owesDrain) {
      owesDrain = true
      setImmediate(() => {
        owesDrain = false
        if (this.destroyed) endPipelines(this)
        else this.emit('drain')
      })
    }
    if (this.destroyed) return Reflect.apply(write, this, args)
    const callback = callbackOf(args)
    if (callback !== undefined) process.nextTick(callback)
    return false
  } as typeof write
  // An end without a chunk may come as often as it likes.
  response.end = function (this: ServerResponse, ...args: unknown[]): ServerResponse {
    const callback = callbackOf(args)
    return Reflect.apply(end, this, callback === undefined ? [] : [callback])
  } as typeof end
}

/** How a `pipeline` from an iterable hears of the drain that it waits for, or of the error that ends it. */
const isPipelines = /^\((\w+)\) ?=> ?\{\s*if ?\(\1\)/

/**
 * A `pipeline` from an iterable has taken our end for its own, and hears nothing more: it would wait for `'drain'` for ever,
 * and its generator would never be ended. It gets the error that it gets when a client goes away.
 */
function endPipelines(response: ServerResponse): void {
  for (const listener of response.listeners('drain')) {
    if (listener.name !== 'resume' || !isPipelines.test(Function.prototype.toString.call(listener))) continue
    const error = Object.assign(new Error('Premature close'), { code: 'ERR_STREAM_PREMATURE_CLOSE' })
    listener.call(response, error)
  }
}
