/** Something whose `emit` was taken over; `restore` gives it back. */
export interface Seam {
  restore(): void
}

/** One that can hand on, later, what it has kept from the app. */
export interface EmitSeam extends Seam {
  pass(...args: unknown[]): boolean
}

interface Emitter {
  emit: (...args: never[]) => boolean
}

/**
 * Takes over `emit` as an own property, as OpenTelemetry does. It sees every event before the app's listeners and adds
 * none: Node changes its behaviour by the mere presence of an `'upgrade'` or `'clientError'` listener. `see` returns
 * `true` to keep the event from the app. When somebody took `emit` over after us, `restore` cannot take ours out of the
 * chain; it passes everything through from then on.
 */
export function takeOverEmit(
  emitter: Emitter,
  see: (event: unknown, first: unknown, second: unknown) => boolean,
  onError: (error: unknown) => void,
): EmitSeam {
  const own = Object.getOwnPropertyDescriptor(emitter, 'emit')
  const original = emitter.emit as (...args: unknown[]) => boolean
  let active = true
  function emit(this: unknown, event: unknown, first: unknown, second: unknown): boolean {
    try {
      if (active && see(event, first, second)) return true
    } catch (error) {
      // Our mistake must not become the app's: the event goes on as if we were not there.
      onError(error)
    }
    // biome-ignore lint/complexity/noArguments: no array is made for a request
    return Reflect.apply(original, this, arguments as unknown as unknown[])
  }
  Object.defineProperty(emitter, 'emit', {
    value: emit,
    configurable: true,
    writable: true,
    enumerable: own?.enumerable ?? false,
  })
  return {
    pass: (...args) => Reflect.apply(original, emitter, args),
    restore() {
      active = false
      if ((emitter.emit as unknown) !== emit) return
      if (own === undefined) delete (emitter as { emit?: unknown }).emit
      else Object.defineProperty(emitter, 'emit', own)
    },
  }
}
