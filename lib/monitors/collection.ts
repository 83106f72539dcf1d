import { setFlagsFromString } from 'node:v8'
import { runInNewContext } from 'node:vm'

let collect: (() => void) | undefined

/**
 * Has V8 collect what is dead, at once: a process that refuses everything allocates nothing, and then V8 never does it by
 * itself. Without `--expose-gc` the function is only in contexts that are made while the flag is set. It is set for
 * that one moment, so no other code of this thread sees it. `false`: V8 cannot be asked.
 */
export function collectGarbage(): boolean {
  try {
    collect ??= exposed() ?? hidden()
    collect()
    return true
  } catch {
    return false
  }
}

function exposed(): (() => void) | undefined {
  const { gc } = globalThis as { gc?: () => void }
  return typeof gc === 'function' ? gc : undefined
}

function hidden(): () => void {
  // The app may have set the flag itself; then it stays.
  const visible: unknown = runInNewContext('globalThis.gc')
  if (typeof visible === 'function') return visible as () => void
  setFlagsFromString('--expose-gc')
  try {
    return runInNewContext('gc') as () => void
  } finally {
    setFlagsFromString('--no-expose-gc')
  }
}

/** Tells whether V8 has collected the old space since, by an object that nothing else holds. Looking at it is not free of effect: it then lives until the end of this turn. */
export class Canary {
  readonly #ref = new WeakRef({})

  get isDead(): boolean {
    return this.#ref.deref() === undefined
  }
}
