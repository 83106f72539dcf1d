/** Something whose `emit` was taken over; `restore` gives it back. */
export interface Seam {
  restore(): void
}

/** One that can hand on, later, what it has kept from the app. */
export interface EmitSeam extends Seam {
  pass(...args: unknown[]): void
}

type Emit = (...args: unknown[]) => boolean

interface Emitter {
  emit: (...args: never[]) => boolean
}

/** Who looks at the events of an emitter. */
interface Watcher {
  /** `true` keeps the event from the app. */
  see(event: unknown, first: unknown, second: unknown): boolean
  onError(error: unknown): void
}

/** By the function that was put in the place of `emit`, so that all pulses share one. */
const layers = new WeakMap<object, EmitLayer>()

/**
 * Takes over `emit` as an own property, as OpenTelemetry does. It sees every event before the app's listeners and adds
 * none: Node changes its behaviour by the mere presence of an `'upgrade'` or `'clientError'` listener. `see` returns
 * `true` to keep the event from the app.
 */
export function takeOverEmit(emitter: Emitter, see: Watcher['see'], onError: Watcher['onError']): EmitSeam {
  const top = layers.get(emitter.emit)
  const layer = top?.emitter === emitter ? top : new EmitLayer(emitter)
  return layer.add({ see, onError })
}

/**
 * The one function that all pulses have in the place of an emitter's `emit`. When somebody took `emit` over after us, it
 * cannot be taken out of the chain: it passes everything through from then on, and goes when it is on top again.
 */
class EmitLayer {
  readonly emitter: Emitter
  readonly #emit: Emit
  /** What was the emitter's own before; most have none. */
  readonly #own: PropertyDescriptor | undefined
  /** The one that came last is asked first. Replaced, never changed: a watcher may leave while they are asked. */
  #watchers: readonly Watcher[] = []

  constructor(emitter: Emitter) {
    this.emitter = emitter
    this.#own = Object.getOwnPropertyDescriptor(emitter, 'emit')
    const isKept = (event: unknown, first: unknown, second: unknown) => this.#isKept(event, first, second)
    const original = () => this.#original()
    this.#emit = function emit(this: unknown, event: unknown, first: unknown, second: unknown): boolean {
      if (isKept(event, first, second)) return true
      // biome-ignore lint/complexity/noArguments: no array is made for a request
      return Reflect.apply(original(), this, arguments as unknown as unknown[])
    }
    layers.set(this.#emit, this)
    Object.defineProperty(emitter, 'emit', {
      value: this.#emit,
      configurable: true,
      writable: true,
      enumerable: this.#own?.enumerable ?? false,
    })
  }

  add(watcher: Watcher): EmitSeam {
    this.#watchers = [watcher, ...this.#watchers]
    return {
      pass: (...args) => {
        const behind = this.#watchers.slice(this.#watchers.indexOf(watcher) + 1)
        if (!isKeptBy(behind, args[0], args[1], args[2])) Reflect.apply(this.#original(), this.emitter, args)
      },
      restore: () => {
        this.#watchers = this.#watchers.filter((other) => other !== watcher)
        if (this.#watchers.length === 0) this.#leave()
      },
    }
  }

  #isKept(event: unknown, first: unknown, second: unknown): boolean {
    if (this.#watchers.length === 0) this.#leave()
    return isKeptBy(this.#watchers, event, first, second)
  }

  /** The prototype's is looked up at each event: a tool that starts late may patch it. */
  #original(): Emit {
    const own = this.#own
    if (own === undefined) return Object.getPrototypeOf(this.emitter).emit
    return own.value ?? own.get?.call(this.emitter)
  }

  #leave(): void {
    if (Object.getOwnPropertyDescriptor(this.emitter, 'emit')?.value !== this.#emit) return
    if (this.#own === undefined) delete (this.emitter as { emit?: unknown }).emit
    else Object.defineProperty(this.emitter, 'emit', this.#own)
  }
}

function isKeptBy(watchers: readonly Watcher[], event: unknown, first: unknown, second: unknown): boolean {
  for (const watcher of watchers) {
    try {
      if (watcher.see(event, first, second)) return true
    } catch (error) {
      // Our mistake must not become the app's: the event goes on as if we were not there.
      watcher.onError(error)
    }
  }
  return false
}
