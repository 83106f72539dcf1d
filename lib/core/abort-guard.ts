import { type CallbackFailed, hear } from './callbacks.js'

type Listener = Parameters<AbortSignal['addEventListener']>[1] | null

/**
 * Has a signal catch what its `abort` listeners throw, or reject with: Node makes that an uncaught exception, wherever
 * the signal was aborted. Only the signal itself is changed. A signal that `AbortSignal.any` makes of it is Node's.
 */
export class AbortGuard {
  readonly #failed: CallbackFailed
  /** What stands in a listener's place, so that it can be removed, and is not added twice. */
  readonly #standIns = new WeakMap<object, (event: Event) => void>()
  readonly #prototype: AbortSignal

  constructor(failed: CallbackFailed) {
    this.#failed = failed
    const guard = this
    // On a prototype in between, and not on the signal: it must look as any other.
    this.#prototype = Object.create(AbortSignal.prototype, {
      addEventListener: {
        configurable: true,
        writable: true,
        value: function addEventListener(
          this: AbortSignal,
          type: string,
          listener: Listener,
          options?: object,
        ) {
          AbortSignal.prototype.addEventListener.call(this, type, guard.#standInFor(listener), options)
        },
      },
      removeEventListener: {
        configurable: true,
        writable: true,
        value: function removeEventListener(
          this: AbortSignal,
          type: string,
          listener: Listener,
          options?: object,
        ) {
          AbortSignal.prototype.removeEventListener.call(this, type, guard.#standInFor(listener), options)
        },
      },
    }) as AbortSignal
  }

  /** A controller whose signal is guarded. */
  createController(): AbortController {
    const controller = new AbortController()
    Object.setPrototypeOf(controller.signal, this.#prototype)
    return controller
  }

  /** What is no listener is handed on: Node says what it says of it. */
  #standInFor(listener: Listener): never {
    const isListener = typeof listener === 'function' || (typeof listener === 'object' && listener !== null)
    if (!isListener) return listener as never
    let standIn = this.#standIns.get(listener)
    if (standIn === undefined) {
      const failed = this.#failed
      standIn = function (this: AbortSignal, event) {
        try {
          const returned: unknown =
            typeof listener === 'function' ? listener.call(this, event) : listener.handleEvent(event)
          hear(returned, failed)
        } catch (error) {
          failed(error)
        }
      }
      this.#standIns.set(listener, standIn)
    }
    return standIn as never
  }
}
