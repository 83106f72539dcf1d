import type { Server } from 'node:http'
import type { Seam } from './emit-seam.js'

/** Node's own timeouts, as a pulse wants them while it is attached. */
export interface ServerTimeouts {
  /** As it is: it follows the balancer in front. */
  keepAliveTimeout?: number
  /** At most: what the app allows less is left. */
  headersTimeout?: number
}

type Name = keyof ServerTimeouts
const names: readonly Name[] = ['keepAliveTimeout', 'headersTimeout']

const fitted = new WeakMap<Server, FittedTimeouts>()

/** Sets a server's timeouts until `restore` is called. Pulses may come and go in any order. */
export function fitTimeouts(server: Server, wishes: ServerTimeouts): Seam & { refit(): void } {
  const timeouts = fitted.get(server) ?? new FittedTimeouts(server)
  fitted.set(server, timeouts)
  const own = { ...wishes }
  timeouts.add(own)
  return { refit: () => timeouts.refit(), restore: () => timeouts.remove(own) }
}

/** One for each server: two pulses that each put back what they had found would leave the other's behind. */
class FittedTimeouts {
  readonly #server: Server
  readonly #wishes = new Set<ServerTimeouts>()
  /** What the app had set, and what we have set instead. */
  readonly #set = new Map<Name, { apps: number; ours: number }>()

  constructor(server: Server) {
    this.#server = server
  }

  add(wishes: ServerTimeouts): void {
    // First what the app has set since: the wishes of before are not for that, these are.
    this.refit()
    this.#wishes.add(wishes)
    this.refit()
  }

  remove(wishes: ServerTimeouts): void {
    this.refit()
    this.#wishes.delete(wishes)
    this.refit()
  }

  /** Called at times, since the app may change a timeout that ours has to fit. */
  refit(): void {
    for (const name of names) this.#fit(name)
  }

  #fit(name: Name): void {
    const current = this.#server[name]
    const before = this.#set.get(name)
    const isApps = before !== undefined && before.ours !== current
    // The app has set it after us, and knows best.
    if (isApps) for (const wishes of this.#wishes) delete wishes[name]
    const apps = before === undefined || isApps ? current : before.apps
    const wished = [...this.#wishes].flatMap((wishes) => wishes[name] ?? [])
    const ours = wished.length === 0 ? apps : this.#wanted(name, apps, wished)
    if (wished.length === 0) this.#set.delete(name)
    else this.#set.set(name, { apps, ours })
    if (ours !== current) this.#server[name] = ours
  }

  #wanted(name: Name, apps: number, wished: readonly number[]): number {
    if (name === 'keepAliveTimeout') return wished.at(-1) ?? apps
    // Node takes the larger of the two for the limit of the whole request, whichever it is.
    const limits = [apps, this.#server.requestTimeout].filter((ms) => ms > 0)
    return Math.min(...wished, ...limits)
  }
}
